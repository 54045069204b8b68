"""A message in pieces, and whole again."""

import pytest
from hypothesis import given

from longrun.workflows.contract.events import (
    Event,
    ReasoningCompleted,
    ReasoningDelta,
    TextCompleted,
    TextDelta,
    ToolCallCompleted,
    ToolCallDelta,
)
from longrun.workflows.contract.messages import Message, OpaquePart, Part, TextPart, ToolCallPart, ToolResultPart
from longrun.workflows.deltas import Attempt, PartEvent, part_of, played, text_of
from tests.build import START
from tests.workflows.message_parts import cut_messages

ATTEMPT = Attempt("run", 3, 2, START, "m")


def bare(part: Part) -> Part:
    """A part without what its events do not tell."""
    return part.model_copy(update={"opaque": None, "cut": False})


@given(cut_messages())
def test_each_event_tells_which_part_it_is_of(cut: tuple[Message, tuple[int, ...]]) -> None:
    message, marks = cut
    for event in played(ATTEMPT, message, marks):
        assert isinstance(event, PartEvent)
        part, event_part = bare(message.parts[event.part]), part_of(event)
        if isinstance(event, TextCompleted | ReasoningCompleted | ToolCallCompleted):
            assert event_part == part
        else:
            assert text_of(event_part) == ""
            assert type(event_part) is type(part)
            assert not isinstance(event, ToolCallDelta) or event_part == part.model_copy(update={"arguments": ""})


@given(cut_messages())
def test_the_deltas_of_a_part_join_to_it(cut: tuple[Message, tuple[int, ...]]) -> None:
    message, marks = cut
    joined: dict[int, str] = {}
    wholes: dict[int, str] = {}
    for event in played(ATTEMPT, message, marks):
        if isinstance(event, TextDelta | ReasoningDelta | ToolCallDelta):
            assert event.part not in wholes
            joined[event.part] = joined.get(event.part, "") + event.delta
        elif isinstance(event, ToolCallCompleted):
            wholes[event.part] = event.arguments
        else:
            assert isinstance(event, TextCompleted | ReasoningCompleted)
            wholes[event.part] = event.text
    streamed = {index: text_of(part) for index, part in enumerate(message.parts) if not isinstance(part, OpaquePart)}
    assert wholes == streamed
    assert joined == {index: text for index, text in streamed.items() if text}


def test_a_delta_carries_the_time_at_which_its_attempt_began() -> None:
    event: Event = ATTEMPT.delta(1, ToolCallPart(call_id="c", name="look", arguments=""), "{")
    assert event == ToolCallDelta(
        run_id="run", step=3, attempt=2, at=START, message_id="m", part=1, call_id="c", name="look", delta="{"
    )


def test_a_refusal_is_marked() -> None:
    event = ATTEMPT.completed(0, TextPart(text="no", refusal=True))
    assert isinstance(event, TextCompleted)
    assert event.refusal


@pytest.mark.parametrize("part", [OpaquePart(opaque={}), ToolResultPart(call_id="c", name="n", content="")])
def test_parts_that_are_not_streamed_have_no_text_and_no_completion(part: OpaquePart | ToolResultPart) -> None:
    assert text_of(part) == ""
    with pytest.raises(TypeError, match="not streamed"):
        ATTEMPT.completed(0, part)
