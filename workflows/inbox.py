"""What a run has received by signal and not used yet: bounded, however much comes."""

from collections.abc import Collection, Iterable

from longrun.workflows.contract.requests import IgnoredSignal
from longrun.workflows.contract.runs import Decision, Said

MOST_EARLY = 1000
"""Decisions kept for calls that the run does not know; more than that are noise."""
MOST_MESSAGES = 1000
"""Messages kept for the next step."""
MOST_IDS = 2000
"""Ids of messages by which a second delivery is known."""
MOST_NOTES = 100
"""Signals that the log says were ignored."""
MAX_BYTES = 1_000_000
"""Bytes that go into one payload together: Temporal refuses a payload of more than 2 MiB."""


class Inbox:
    """Decisions by call, and user messages in order. Adding is idempotent, because a signal may be delivered twice.

    A decision on a call that waits always finds room. ``message_ids`` are those of the messages that were received
    last, not only of those that wait. ``noted`` is how many ignored signals were noted before.
    """

    def __init__(
        self,
        decisions: Iterable[Decision] = (),
        messages: Iterable[Said] = (),
        message_ids: Iterable[str] = (),
        noted: int = 0,
    ) -> None:
        self._decisions = {decision.call_id: decision for decision in decisions}
        self._messages = list(messages)
        self._message_ids = dict.fromkeys(message_ids)
        self._ignored: list[IgnoredSignal] = []
        self._awaited: frozenset[str] = frozenset()
        self._size = sum(map(_size, (*self._messages, *self._decisions.values())))
        self.noted = noted

    def ask(self, call_ids: Iterable[str]) -> None:
        """Make room for decisions on these calls, which wait now; those before them do no more."""
        self._awaited = frozenset(call_ids)

    def decide(self, decision: Decision) -> None:
        """Keep the first decision for a call."""
        if decision.call_id in self._decisions:
            return
        size = _size(decision)
        if size > MAX_BYTES:
            self.ignore("decide", f"it is larger than {MAX_BYTES} bytes")
        elif decision.call_id not in self._awaited and (
            len(self._decisions) >= MOST_EARLY or self._size + size > MAX_BYTES
        ):
            self.ignore("decide", "too many decisions are kept for calls that the run does not know")
        else:
            self._decisions[decision.call_id] = decision
            self._size += size

    def say(self, said: Said) -> None:
        """Keep a user's message, once."""
        if said.id is not None and said.id in self._message_ids:
            return
        size = _size(said)
        if len(self._messages) >= MOST_MESSAGES or self._size + size > MAX_BYTES:
            self.ignore("say", "too many messages wait for the next step")
            return
        self._messages.append(said)
        self._size += size
        if said.id is not None:
            self._message_ids[said.id] = None
            while len(self._message_ids) > MOST_IDS:
                del self._message_ids[next(iter(self._message_ids))]

    def ignore(self, signal: str, reason: str) -> None:
        """Remember that a signal is ignored, until that is noted; of very many, the first ones."""
        if self.noted + len(self._ignored) < MOST_NOTES:
            self._ignored.append(IgnoredSignal(signal=signal[:100], reason=reason))

    @property
    def ignored(self) -> tuple[IgnoredSignal, ...]:
        """The ignored signals that are to be noted."""
        return tuple(self._ignored)

    def note(self, count: int) -> None:
        """Forget the first ignored signals, which were noted."""
        self._ignored = self._ignored[count:]
        self.noted += count

    def decided(self, call_ids: Iterable[str]) -> tuple[Decision, ...]:
        """The decisions for these calls."""
        return tuple(self._decisions[call_id] for call_id in call_ids if call_id in self._decisions)

    def first_of(self, call_ids: Collection[str]) -> Decision | None:
        """Of the decisions for these calls the one that was received first."""
        return next((decision for call_id, decision in self._decisions.items() if call_id in call_ids), None)

    def take_decision(self, call_id: str) -> Decision | None:
        """Remove the decision for a call, and return it."""
        decision = self._decisions.pop(call_id, None)
        if decision is not None:
            self._size -= _size(decision)
        return decision

    def take_messages(self) -> tuple[Said, ...]:
        """Remove the messages, and return them."""
        taken, self._messages = tuple(self._messages), []
        self._size -= sum(map(_size, taken))
        return taken

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
        """The ids of the messages that were received last."""
        return tuple(self._message_ids)


def _size(signal: Said | Decision) -> int:
    return len(signal.model_dump_json().encode())
