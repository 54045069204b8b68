"""From a provider's deltas to the log: appended as soon as the commit before has returned, merged while they wait."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from activities.failures import ProviderFailure
from activities.providers.provider import Completed, Delta, PartCompleted, PartDelta, PartStarted
from workflows.contract.events import Event
from workflows.contract.messages import Message, OpaquePart, Part, ReasoningPart, TextPart, ToolCallPart
from workflows.contract.steps import Span
from workflows.deltas import PART_DONE, Attempt, text_of

LARGEST_MESSAGE = 1024 * 1024
"""Characters of a message's parts together."""


class Appender(Protocol):
    """Writes batch number ``batch`` of an attempt and says where it went."""

    async def __call__(self, batch: int, events: Sequence[Event]) -> Span: ...  # noqa: D102


class _Draft:
    """A part while it comes."""

    def __init__(self, head: Part) -> None:
        self.head = head
        self.pieces: list[str] = []
        self.whole: Part | None = None

    def value(self) -> Part:
        if self.whole is not None:
            return self.whole
        field = "arguments" if isinstance(self.head, ToolCallPart) else "text"
        return self.head.model_copy(update={field: "".join(self.pieces), "cut": True})


class DeltaWriter:
    """Writes one attempt's deltas.

    Args:
        attempt: Names the events.
        append: Writes them.
        taken: Call ids of the conversation so far; a provider that uses one again gets another.
    """

    def __init__(self, attempt: Attempt, append: Appender, taken: frozenset[str] = frozenset()) -> None:
        self._attempt = attempt
        self._append = append
        self._taken = set(taken)
        self._drafts: list[_Draft] = []
        self._waiting: list[tuple[int, str | None]] = []
        self._news = asyncio.Event()
        self._size = 0
        self._part = -1
        self.completed: Completed | None = None
        self.marks: list[int] = []
        self.spans: list[Span] = []
        self._batches = 0
        self._stopping = False
        self._writing = asyncio.create_task(self._write())

    def put(self, delta: Delta) -> None:
        """Take a delta; what fails in the background is raised here.

        Raises:
            FencedError: A later attempt has taken over.
            StoreAwayError: The log could not be written.
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
        else:
            self.completed = delta

    def _start(self, delta: PartStarted) -> None:
        heads: dict[str, Callable[[], Part]] = {
            "text": lambda: TextPart(text=""),
            "reasoning": lambda: ReasoningPart(text=""),
            "tool_call": lambda: ToolCallPart(call_id=self._fresh(delta.call_id), name=delta.name, arguments=""),
        }
        self._drafts.append(_Draft(heads[delta.kind]()))

    def _fresh(self, call_id: str) -> str:
        if not call_id or call_id in self._taken:
            call_id = f"{call_id or 'call'}_{self._attempt.message_id[-12:]}_{len(self._drafts)}"
        self._taken.add(call_id)
        return call_id

    def _grow(self, delta: PartDelta) -> None:
        self._size += len(delta.text)
        if self._size > LARGEST_MESSAGE:
            raise ProviderFailure("fatal", f"the model's message is longer than {LARGEST_MESSAGE} characters")
        if delta.text:
            self._drafts[delta.part].pieces.append(delta.text)
            self._waiting.append((delta.part, delta.text))
            self._news.set()

    def _complete(self, delta: PartCompleted) -> None:
        if isinstance(delta.value, OpaquePart):
            self._drafts.append(_Draft(delta.value))
            self._drafts[-1].whole = delta.value
            return
        draft = self._drafts[delta.part]
        whole: Part = delta.value
        if isinstance(whole, ToolCallPart) and isinstance(draft.head, ToolCallPart):
            whole = whole.model_copy(update={"call_id": draft.head.call_id, "name": draft.head.name})
        if text_of(whole) != "".join(draft.pieces):
            raise ProviderFailure("invalid", "the model's message is not what its stream said")
        draft.whole = whole
        self._waiting.append((delta.part, None))
        self._news.set()

    def message(self, provider: str) -> Message:
        """The message as far as it has come; parts that are not complete are marked as cut."""
        parts = tuple(draft.value() for draft in self._drafts)
        return Message(id=self._attempt.message_id, role="assistant", parts=parts, provider=provider)

    async def last(self) -> list[Event]:
        """Stop writing, and give what still waits to the caller, who commits it with the message."""
        await self.stop()
        self._writing.result()
        return self._take()

    async def stop(self) -> None:
        """Let the commit that is under way end, and write no more."""
        self._waiting, waiting = [], self._waiting
        self._stopping = True
        self._news.set()
        await asyncio.wait([self._writing])
        if not self._writing.cancelled():
            self._writing.exception()  # seen: whoever stops for another reason does not ask again
        self._waiting = waiting

    async def _write(self) -> None:
        while not self._stopping:
            await self._news.wait()
            self._news.clear()
            if self._waiting:
                events = self._take()
                self._batches += 1
                self.spans.append(await self._append(self._batches, events))

    def _take(self) -> list[Event]:
        waiting, self._waiting = self._waiting, []
        return [self._event(index, text) for index, text in _merged(waiting)]

    def _event(self, index: int, text: str | None) -> Event:
        if index != self._part:
            self.marks.append(-index - 1)
            self._part = index
        draft = self._drafts[index]
        if text is None:
            self.marks.append(PART_DONE)
            return self._attempt.completed(index, draft.value())
        self.marks.append(len(text))
        return self._attempt.delta(index, draft.head, text)


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
