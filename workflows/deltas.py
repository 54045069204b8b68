"""A message in pieces: the events of its deltas, and the same events again from the whole and its cut marks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from longrun.workflows.contract.events import (
    Event,
    ReasoningCompleted,
    ReasoningDelta,
    TextCompleted,
    TextDelta,
    ToolCallCompleted,
    ToolCallDelta,
)
from longrun.workflows.contract.messages import Message, Part, ReasoningPart, TextPart, ToolCallPart

PART_DONE = 0


@dataclass(frozen=True)
class Attempt:
    """One attempt of a step, as its events name it. ``at`` is when it began."""

    run_id: str
    step: int
    attempt: int
    at: datetime
    message_id: str

    def delta(self, index: int, part: Part, text: str) -> Event:
        """More text of a part; of ``part`` only what is known from its start is used."""
        common = {
            "run_id": self.run_id,
            "step": self.step,
            "attempt": self.attempt,
            "at": self.at,
            "message_id": self.message_id,
            "part": index,
            "delta": text,
        }
        if isinstance(part, ToolCallPart):
            return ToolCallDelta.model_validate({**common, "call_id": part.call_id, "name": part.name})
        kind = ReasoningDelta if isinstance(part, ReasoningPart) else TextDelta
        return kind.model_validate(common)

    def completed(self, index: int, part: Part) -> Event:
        """A whole part."""
        common = {
            "run_id": self.run_id,
            "step": self.step,
            "attempt": self.attempt,
            "at": self.at,
            "message_id": self.message_id,
            "part": index,
        }
        if isinstance(part, ToolCallPart):
            named = {"call_id": part.call_id, "name": part.name, "arguments": part.arguments}
            return ToolCallCompleted.model_validate({**common, **named})
        if isinstance(part, ReasoningPart):
            return ReasoningCompleted.model_validate({**common, "text": part.text})
        if isinstance(part, TextPart):
            return TextCompleted.model_validate({**common, "text": part.text, "refusal": part.refusal})
        raise TypeError(f"a {part.type} part is not streamed")


PartEvent = TextDelta | ReasoningDelta | ToolCallDelta | TextCompleted | ReasoningCompleted | ToolCallCompleted


def part_of(event: PartEvent) -> Part:
    """The part that an event is of: whole, as its completion tells it, and without its text from a delta."""
    if isinstance(event, ToolCallDelta | ToolCallCompleted):
        arguments = event.arguments if isinstance(event, ToolCallCompleted) else ""
        return ToolCallPart(call_id=event.call_id, name=event.name, arguments=arguments)
    if isinstance(event, ReasoningDelta | ReasoningCompleted):
        return ReasoningPart(text=event.text if isinstance(event, ReasoningCompleted) else "")
    if isinstance(event, TextCompleted):
        return TextPart(text=event.text, refusal=event.refusal)
    return TextPart(text="")


def text_of(part: Part) -> str:
    """The text of a part that comes in deltas."""
    if isinstance(part, ToolCallPart):
        return part.arguments
    return part.text if isinstance(part, TextPart | ReasoningPart) else ""


def played(attempt: Attempt, message: Message, marks: Iterable[int]) -> Iterator[Event]:
    """The deltas and completions of a message, cut where they were cut."""
    index = 0
    done: dict[int, int] = {}
    for mark in marks:
        if mark < 0:
            index = -mark - 1
            continue
        part = message.parts[index]
        if mark == PART_DONE:
            yield attempt.completed(index, part)
            continue
        start = done.get(index, 0)
        done[index] = start + mark
        yield attempt.delta(index, part, text_of(part)[start : start + mark])
