"""What people have told a run and the run has not used yet."""

from collections.abc import Collection, Iterable
from itertools import accumulate

from longrun.workflows.contract.runs import Decision, Said

MOST_DECISIONS = 1000
"""Decisions kept for calls that nobody has made; more than that are noise."""

MOST_AT_ONCE = 1_000_000
"""Bytes that go together into one payload: Temporal refuses one of more than 2 MiB."""


class Inbox:
    """Decisions by call and words in order. Adding is idempotent, because a signal may come twice."""

    def __init__(self, decisions: Iterable[Decision], heard: Iterable[Said], heard_ids: Iterable[str]) -> None:
        self._decisions = {decision.call_id: decision for decision in decisions}
        self._heard = list(heard)
        self._heard_ids = dict.fromkeys(heard_ids)

    def decide(self, decision: Decision) -> None:
        """Keep the first decision for a call."""
        if len(self._decisions) < MOST_DECISIONS:
            self._decisions.setdefault(decision.call_id, decision)

    def say(self, said: Said) -> None:
        """Keep a user's words, once."""
        if said.id is not None and said.id in self._heard_ids:
            return
        self._heard.append(said)
        if said.id is not None:
            self._heard_ids[said.id] = None

    def decided(self, call_ids: Iterable[str]) -> tuple[Decision, ...]:
        """The decisions that there are for these calls."""
        return tuple(self._decisions[call_id] for call_id in call_ids if call_id in self._decisions)

    def first_of(self, call_ids: Collection[str]) -> Decision | None:
        """Of the decisions that there are for these calls the one that came first."""
        return next((decision for call_id, decision in self._decisions.items() if call_id in call_ids), None)

    def take_decision(self, call_id: str) -> Decision | None:
        """The decision for a call, which is then used up."""
        return self._decisions.pop(call_id, None)

    def take_heard(self) -> tuple[Said, ...]:
        """What was said since the last time; of very much the first part, at least one message."""
        sizes = accumulate(_size(said) for said in self._heard)
        most = max(1, sum(size <= MOST_AT_ONCE for size in sizes))
        heard, self._heard = tuple(self._heard[:most]), self._heard[most:]
        return heard

    @property
    def fits(self) -> bool:
        """Whether all that is kept can go into one payload."""
        return sum(map(_size, (*self._heard, *self._decisions.values()))) <= MOST_AT_ONCE

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """All that is kept."""
        return tuple(self._decisions.values())

    @property
    def heard(self) -> tuple[Said, ...]:
        """What waits for the next step."""
        return tuple(self._heard)

    @property
    def heard_ids(self) -> tuple[str, ...]:
        """The ids of everything that was ever said."""
        return tuple(self._heard_ids)


def _size(kept: Said | Decision) -> int:
    return len(kept.model_dump_json().encode())
