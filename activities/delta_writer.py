"""From a provider's deltas to the log: appended as soon as the commit before has returned, merged while they wait."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from longrun.activities.failures import ProviderFailure
from longrun.activities.providers.provider import Completed, Delta, PartCompleted, PartDelta, PartStarted
from longrun.runtime.failpoints import reached
from longrun.store.step_attempts import StoredAnswer
from longrun.workflows.contract.attempts import ResumePoint
from longrun.workflows.contract.events import Event, ReasoningDelta, TextDelta, ToolCallDelta
from longrun.workflows.contract.messages import Message, OpaquePart, Part, ReasoningPart, TextPart, ToolCallPart
from longrun.workflows.contract.results import Span
from longrun.workflows.contract.sizes import size_of
from longrun.workflows.deltas import PART_DONE, Attempt, PartEvent, part_of, text_of

LARGEST_MESSAGE = 1024 * 1024
"""Characters of a message's parts together."""
LARGEST_OPAQUE = 8 * 1024 * 1024
"""Bytes of what a message has for its provider alone."""
MOST_PARTS = 1000
"""Parts of a message."""
_UP = frozenset({".", ".."})
"""What no client sends in a path."""
_LONGEST_ID = 1000
"""Bytes of a call's id; databases have keys of two or three times as much, with the run's id."""


class Appender(Protocol):
    """Writes batch number ``batch`` of an attempt, with the resume point after it, and says where it went."""

    async def __call__(self, batch: int, events: Sequence[Event], resume_point: ResumePoint | None) -> Span: ...  # noqa: D102


@dataclass
class _Draft:
    """A part while it comes."""

    head: Part
    pieces: list[str] = field(default_factory=list[str])
    whole: Part | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def value(self) -> Part:
        if self.whole is not None:
            return self.whole
        name = "arguments" if isinstance(self.head, ToolCallPart) else "text"
        return self.head.model_copy(update={name: self.text, "cut": True})


class DeltaWriter:
    """Writes one attempt's deltas.

    Args:
        attempt: Names the events.
        append: Writes them.
        taken: Call ids of the conversation so far; a provider that uses one again gets another.
        partial: What an earlier attempt has written of the same answer, in the name of ``attempt``.
    """

    def __init__(
        self,
        attempt: Attempt,
        append: Appender,
        taken: frozenset[str] = frozenset(),
        partial: StoredAnswer | None = None,
    ) -> None:
        self.attempt = attempt
        self._append = append
        self._taken = set(taken)
        self._drafts: dict[int, _Draft] = {}
        self._waiting: list[tuple[int, str | None]] = []
        self._news = asyncio.Event()
        self._size = 0
        self._opaque = 0
        self._part = -1
        self._batches = 0
        self._stopping = False
        self.completed: Completed | None = None
        self.marks: list[int] = []
        self.spans: list[Span] = []
        self.resume_point = self._kept_point = partial.resume_point if partial else None
        self.resumable = asyncio.Event()
        self._complete_to = 0
        if partial:
            self.resumable.set()
        for event in partial.deltas if partial else ():
            self._take_over(event)
        self._writing = asyncio.create_task(self._write())

    def _take_over(self, event: Event) -> None:
        if not isinstance(event, PartEvent):
            return
        self.spans.append(Span(first=event.seq, last=event.seq))
        draft = self._drafts.setdefault(event.part, _Draft(part_of(event)))
        if isinstance(event, TextDelta | ReasoningDelta | ToolCallDelta):
            draft.pieces.append(event.delta)
            self._size += len(event.delta)
            self._mark(event.part, len(event.delta))
        else:
            draft.whole = part_of(event)
            self._mark(event.part, PART_DONE)
        if isinstance(draft.head, ToolCallPart):
            self._taken.add(draft.head.call_id)

    def put(self, delta: Delta) -> None:
        """Take a delta; what fails in the background is raised here.

        Raises:
            FencedError: A later attempt has taken over.
            StoreUnavailableError: The log could not be written.
            ProviderFailure: The message has become too large.
        """
        if self._writing.done():
            self._writing.result()
        if isinstance(delta, PartStarted):
            self._start(delta)
        elif isinstance(delta, PartDelta):
            self._grow(delta)
        elif isinstance(delta, PartCompleted):
            self._complete(delta)
        elif isinstance(delta, ResumePoint):
            self.resume_point, self._complete_to = delta, len(self._waiting)
            self.resumable.set()
            self._news.set()
        else:
            self.completed = delta

    def _start(self, delta: PartStarted) -> None:
        if delta.part in self._drafts:
            return  # an earlier attempt has seen it begin
        if len(self._drafts) >= MOST_PARTS:
            raise ProviderFailure("fatal", f"the model's message has more than {MOST_PARTS} parts")
        heads: dict[str, Callable[[], Part]] = {
            "text": lambda: TextPart(text=""),
            "reasoning": lambda: ReasoningPart(text=""),
            "tool_call": lambda: ToolCallPart(call_id=self._fresh(delta.call_id), name=delta.name, arguments=""),
        }
        self._drafts[delta.part] = _Draft(heads[delta.kind]())

    def _fresh(self, call_id: str) -> str:
        if len(call_id.encode()) > _LONGEST_ID or not _UP.isdisjoint(call_id.split("/")):
            call_id = f"{call_id.replace('/', '_')[:40].strip('.')}_{sha256(call_id.encode()).hexdigest()[:24]}"
        if not call_id or call_id in self._taken:
            call_id = f"{call_id or 'call'}_{self.attempt.message_id[-12:]}_{len(self._drafts)}"
        self._taken.add(call_id)
        return call_id

    def _grow(self, delta: PartDelta) -> None:
        self._size += len(delta.text)
        if self._size > LARGEST_MESSAGE:
            raise ProviderFailure("fatal", f"the model's message is longer than {LARGEST_MESSAGE} characters")
        if delta.text:
            self._drafts[delta.part].pieces.append(delta.text)
            self._wait(delta.part, delta.text)

    def _complete(self, delta: PartCompleted) -> None:
        if isinstance(delta.value, OpaquePart):
            self._opaque += size_of(delta.value)
            if self._opaque > LARGEST_OPAQUE:
                raise ProviderFailure("fatal", f"the model's message hides more than {LARGEST_OPAQUE} bytes")
            self._drafts[delta.part] = _Draft(delta.value, whole=delta.value)
            return
        draft = self._drafts[delta.part]
        whole: Part = delta.value
        if isinstance(whole, ToolCallPart) and isinstance(draft.head, ToolCallPart):
            whole = whole.model_copy(update={"call_id": draft.head.call_id, "name": draft.head.name})
        if text_of(whole) != draft.text:
            raise ProviderFailure("invalid", "the model's message is not what its stream said")
        known, draft.whole = draft.whole is not None, whole
        if not known:
            self._wait(delta.part, None)

    def _wait(self, part: int, text: str | None) -> None:
        self._waiting.append((part, text))
        if self.resume_point is None:
            self._complete_to = len(self._waiting)
            self._news.set()

    def message(self, provider: str) -> Message:
        """The message as far as it has come; parts that are not complete are marked as cut."""
        missing = _Draft(TextPart(text=""))  # of one that said nothing to a reader, the resume point
        parts = tuple(self._drafts.get(n, missing).value() for n in range(max(self._drafts, default=-1) + 1))
        return Message(id=self.attempt.message_id, role="assistant", parts=parts, provider=provider)

    async def last(self) -> list[Event]:
        """Stop writing, and give what still waits to the caller, who commits it with the message."""
        await self.stop()
        self._writing.result()
        self._complete_to = len(self._waiting)
        return self._take()

    async def stop(self) -> None:
        """Let the commit that is under way end, and write no more."""
        self._stopping = True
        self._news.set()
        await asyncio.wait([self._writing])
        if not self._writing.cancelled():
            self._writing.exception()  # seen: whoever stops for another reason does not ask again

    async def _write(self) -> None:
        """Write what waits, up to the last resume point if there are any: the answer must go on where the log ends."""
        while True:
            await self._news.wait()
            if self._stopping:
                return
            self._news.clear()
            if self._complete_to or self.resume_point is not self._kept_point:
                resume_point, events = self.resume_point, self._take()
                self._batches += 1
                span = await self._append(self._batches, events, resume_point)
                self._kept_point = resume_point
                self.spans += [span] if events else []
                _reached(events)

    def _take(self) -> list[Event]:
        taken, self._waiting = self._waiting[: self._complete_to], self._waiting[self._complete_to :]
        self._complete_to = 0
        return [self._event(index, text) for index, text in _merged(taken)]

    def _event(self, index: int, text: str | None) -> Event:
        draft = self._drafts[index]
        if text is None:
            self._mark(index, PART_DONE)
            return self.attempt.completed(index, draft.value())
        self._mark(index, len(text))
        return self.attempt.delta(index, draft.head, text)

    def _mark(self, index: int, mark: int) -> None:
        if index != self._part:
            self.marks.append(-index - 1)
            self._part = index
        self.marks.append(mark)


def _merged(waiting: list[tuple[int, str | None]]) -> list[tuple[int, str | None]]:
    """Neighbouring deltas of one part made one."""
    merged: list[tuple[int, str | None]] = []
    for index, text in waiting:
        before = merged[-1] if merged else None
        if before and text is not None and before[0] == index and before[1] is not None:
            merged[-1] = (index, before[1] + text)
        else:
            merged.append((index, text))
    return merged


def _reached(events: Sequence[Event]) -> None:
    """Say what the last commit was about."""
    if not events:
        reached("answer identified")
    elif any(isinstance(event, ToolCallDelta) for event in events):
        reached("arguments written")
    elif any(isinstance(event, TextDelta) for event in events):
        reached("text written")
