"""The shapes that processes exchange: what comes out of one goes into another, and what is wrong is named."""

import json
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from longrun.workflows.contract.agents import AgentSpec, Approval, ArgumentRule, ModelParams, ToolUse
from longrun.workflows.contract.messages import Message, OpaquePart, TextPart, ToolCallPart, Usage
from longrun.workflows.contract.results import Stamp, ToolOutcome
from longrun.workflows.contract.runs import Cancel, Decision, Limits, Outcome, RunState, Said
from longrun.workflows.contract.shape import Shape
from tests.build import START, order
from tests.workflows.message_parts import conversations

AGENT = {"name": "helper", "model": "scripted/x"}
STAMP = Stamp(first=3, at=START)
SHAPES: list[Shape] = [
    AgentSpec.model_validate({**AGENT, "tools": ["look", {"name": "pay", "approval": "always"}]}),
    RunState(
        order=order(),
        started_at=START,
        step=3,
        turn=2,
        usage=Usage(input_tokens=0),
        decisions=(Decision(call_id="c1", decision="edit", args={"n": None, "deep": [{"x": None}]}),),
        messages=(Said(text="\u2028 hm", id="1"),),
        message_ids=("0", "1"),
    ),
    Outcome(status="cancelled", stop_reason="cancelled", cancel=Cancel(reason="enough", by="ann")),
    ToolOutcome(step=1, call_id="c", name="look", status="ok", content="\x00", started=STAMP, stamp=STAMP),
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
def test_a_shape_comes_back_as_it_went(shape: Shape) -> None:
    assert type(shape).model_validate_json(shape.model_dump_json()) == shape


@given(conversations())
def test_a_message_comes_back_as_it_went(conversation: list[Message]) -> None:
    for message in conversation:
        assert Message.model_validate_json(message.model_dump_json()) == message
        assert Message.model_validate_json(message.model_dump_json(exclude_none=True)) == message


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
def test_a_field_of_a_newer_version_is_passed_over(shape: Shape) -> None:
    newer = {**json.loads(shape.model_dump_json()), "colour": "red"}
    assert type(shape).model_validate(newer) == shape


def test_a_shape_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Limits(), "max_steps", 3)  # noqa: B010 - the type checker knows that it is frozen


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("always", Approval(mode="always")),
        ({"mode": "never"}, Approval(mode="never")),
        ({"when": [{"argument": "to"}]}, None),
        (
            {"when": [{"argument": "to", "value": "^ann"}]},
            Approval(mode="when", rules=(ArgumentRule(argument="to", value="^ann"),)),
        ),
        (None, None),
    ],
)
def test_an_approval_has_short_forms(given: object, expected: Approval | None) -> None:
    if given and expected is None:
        with pytest.raises(ValidationError, match="not a text"):
            ToolUse.model_validate({"name": "pay", "approval": given})
    else:
        assert ToolUse.model_validate({"name": "pay", "approval": given}).approval == expected


@pytest.mark.parametrize(
    ("shape", "given", "field"),
    [
        (AgentSpec, {**AGENT, "name": "has spaces"}, ("name",)),
        (AgentSpec, {**AGENT, "name": ""}, ("name",)),
        (AgentSpec, {**AGENT, "model": "gpt"}, ("model",)),
        (AgentSpec, {**AGENT, "model": "No Body/x"}, ("model",)),
        (AgentSpec, {**AGENT, "model": "openai/"}, ("model",)),
        (AgentSpec, {**AGENT, "system": "x" * 200_001}, ("system",)),
        (AgentSpec, {**AGENT, "tools": ["look", "look"]}, ("tools",)),
        (AgentSpec, {**AGENT, "tools": [f"t{n}" for n in range(129)]}, ("tools",)),
        (AgentSpec, {**AGENT, "tools": ["bad name"]}, ("tools", 0, "name")),
        (AgentSpec, {**AGENT, "tools": [{"name": "pay", "approval": "perhaps"}]}, ("tools", 0, "approval", "mode")),
        (ArgumentRule, {"argument": "to", "value": "("}, ()),
        (ArgumentRule, {"argument": "to", "operator": "about", "value": 1}, ("operator",)),
        (ModelParams, {"temperature": 3}, ("temperature",)),
        (ModelParams, {"max_output_tokens": 0}, ("max_output_tokens",)),
        (Limits, {"max_steps": 0}, ("max_steps",)),
        (Limits, {"max_steps": 100_001}, ("max_steps",)),
        (Limits, {"deadline": 0}, ("deadline",)),
        (Limits, {"approval_timeout": -1}, ("approval_timeout",)),
        (Decision, {"call_id": "c", "decision": "maybe"}, ("decision",)),
        (Decision, {"decision": "approve"}, ("call_id",)),
        (Said, {}, ("text",)),
        (Message, {"id": "m", "role": "user", "parts": [{"type": "smell"}]}, ("parts", 0)),
        (Message, {"id": "m", "role": "boss", "parts": []}, ("role",)),
        (RunState, {"order": {**order().model_dump(), "accepted_at": "2026-01-01T00:00:00"}}, ("order", "accepted_at")),
    ],
)
def test_what_is_wrong_is_named(shape: type[Shape], given: dict[str, Any], field: tuple[object, ...]) -> None:
    with pytest.raises(ValidationError) as wrong:
        shape.model_validate(given)
    assert [error["loc"] for error in wrong.value.errors()] == [field]


def test_a_message_has_its_text_and_its_complete_calls() -> None:
    whole = ToolCallPart(call_id="a", name="look", arguments="{}")
    parts = (TextPart(text="one "), whole, whole.model_copy(update={"cut": True}), TextPart(text="two"))
    message = Message(id="m", role="assistant", parts=(OpaquePart(opaque={}), *parts))
    assert message.text == "one two"
    assert message.calls == (whole,)


def test_a_count_that_nobody_knows_adds_nothing_and_is_not_nothing() -> None:
    one, two = Usage(input_tokens=1, output_tokens=0), Usage(input_tokens=2, reasoning_tokens=3)
    assert one + two == Usage(input_tokens=3, output_tokens=0, reasoning_tokens=3)
    assert Usage() + Usage() == Usage()
    assert sum((one, two), Usage()) == two + one
