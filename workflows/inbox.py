"""What a run has received by signal and not used yet."""

from collections.abc import Collection, Iterable
from itertools import accumulate

from longrun.workflows.contract.runs import Decision, Said

MAX_DECISIONS = 1000
"""Decisions kept for calls that the run does not know; more than that are noise."""

MAX_BYTES = 1_000_000
"""Bytes that go into one payload together: Temporal refuses a payload of more than 2 MiB."""


class Inbox:
    """Decisions by call, and user messages in order. Adding is idempotent, because a signal may be delivered twice.

    ``message_ids`` are those of all messages that were ever received, not only of those that wait.
    """

    def __init__(self, decisions: Iterable[Decision], messages: Iterable[Said], message_ids: Iterable[str]) -> None:
        self._decisions = {decision.call_id: decision for decision in decisions}
        self._messages = list(messages)
        self._message_ids = dict.fromkeys(message_ids)

    def decide(self, decision: Decision) -> None:
        """Keep the first decision for a call."""
        if len(self._decisions) < MAX_DECISIONS:
            self._decisions.setdefault(decision.call_id, decision)

    def say(self, said: Said) -> None:
        """Keep a user's message, once."""
        if said.id is not None and said.id in self._message_ids:
            return
        self._messages.append(said)
        if said.id is not None:
            self._message_ids[said.id] = None

    def decided(self, call_ids: Iterable[str]) -> tuple[Decision, ...]:
        """The decisions for these calls."""
        return tuple(self._decisions[call_id] for call_id in call_ids if call_id in self._decisions)

    def first_of(self, call_ids: Collection[str]) -> Decision | None:
        """Of the decisions for these calls the one that was received first."""
        return next((decision for call_id, decision in self._decisions.items() if call_id in call_ids), None)

    def take_decision(self, call_id: str) -> Decision | None:
        """Remove the decision for a call, and return it."""
        return self._decisions.pop(call_id, None)

    def take_messages(self) -> tuple[Said, ...]:
        """Remove the messages that fit into one payload, at least one, and return them."""
        sizes = accumulate(_size(message) for message in self._messages)
        count = max(1, sum(size <= MAX_BYTES for size in sizes))
        taken, self._messages = tuple(self._messages[:count]), self._messages[count:]
        return taken

    @property
    def fits(self) -> bool:
        """Whether everything in the inbox fits into one payload."""
        return sum(map(_size, (*self._messages, *self._decisions.values()))) <= MAX_BYTES

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The decisions that were not taken."""
        return tuple(self._decisions.values())

    @property
    def messages(self) -> tuple[Said, ...]:
        """The messages that wait for the next step."""
        return tuple(self._messages)

    @property
    def message_ids(self) -> tuple[str, ...]:
        """The ids of all messages that were ever received."""
        return tuple(self._message_ids)


def _size(signal: Said | Decision) -> int:
    return len(signal.model_dump_json().encode())
