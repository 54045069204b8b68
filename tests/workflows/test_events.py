"""Events as the log keeps them: one serialization, the same for every reader."""

import json
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from longrun.workflows.contract.events import (
    EVENT,
    TERMINAL,
    AttemptSuperseded,
    Event,
    ToolProgress,
    encode,
    number,
    type_of,
)
from tests.build import START, agent, user

KINDS = {kind.model_fields["type"].default for kind in get_args(get_args(Event)[0])}
COMMON = {"run_id": "r", "step": 3, "attempt": 2, "at": START}
PART = {"message_id": "m", "part": 0}
CALL = {"call_id": "c", "name": "look"}
USAGE = {"usage": {"input_tokens": 0}}
ODD = {"text": 'é"\\\n\u2028\x00😀', "nothing": None, "deep": [{"nothing": None}]}
FIELDS: dict[str, dict[str, Any]] = {
    "run.accepted": {"thread_id": "t", "agent": agent(), "input": user(), "limits": {}, "metadata": ODD},
    "message.received": {"message": user(), "by": "ann"},
    "step.started": {"model": "scripted/x"},
    "text.delta": {**PART, "delta": ODD["text"]},
    "reasoning.delta": {**PART, "delta": ""},
    "tool_call.delta": {**PART, **CALL, "delta": '{"q'},
    "text.completed": {**PART, "text": "", "refusal": True},
    "reasoning.completed": {**PART, "text": "hm"},
    "tool_call.completed": {**PART, **CALL, "arguments": '{"q": 1}'},
    "message.completed": {"message_id": "m", "finish_reason": "stop", **USAGE},
    "attempt.failed": {"cause": {"type": "llm_api_error", "message": "no route to host"}, "next_at": START},
    "attempt.superseded": {"from": 4, "to": 9},
    "tool.started": {**CALL, "arguments": "{}"},
    "tool.progress": {"call_id": "c", "data": ODD},
    "tool.completed": {**CALL, "status": "ok", "content": ""},
    "approval.requested": {"calls": [{**CALL, "arguments": "{}", "step": 3}], "expires_at": START},
    "approval.decided": {"call_id": "c", "decision": "edit", "by": "ann", "args": ODD},
    "approval.expired": {"call_id": "c"},
    "signal.ignored": {"signal": "decide", "reason": "not understood"},
    "turn.ended": {"turn": 1, "turn_id": "r", "stop_reason": "end_turn"},
    "run.waiting": USAGE,
    "run.resumed": {"turn": 2, "turn_id": "l"},
    "run.completed": {"stop_reason": "end_turn", **USAGE, "output": "Done."},
    "run.failed": {"stop_reason": "error", **USAGE, "error": {"type": "error", "message": "oh"}},
    "run.cancelled": {**USAGE, "reason": "enough", "by": "ann"},
}


def event(kind: str) -> Event:
    """An event of a type."""
    return EVENT.validate_python({"type": kind, **COMMON, **FIELDS[kind]})


def test_every_type_of_event_is_tried_here() -> None:
    assert set(FIELDS) == KINDS
    assert TERMINAL < KINDS


@pytest.mark.parametrize("kind", FIELDS)
def test_an_event_is_read_as_it_was_written(kind: str) -> None:
    line = number(7, encode(event(kind)))
    assert EVENT.validate_json(line) == event(kind).model_copy(update={"seq": 7})
    assert number(7, encode(EVENT.validate_json(line))) == line
    assert b"\n" not in line
    assert list(json.loads(line))[:3] == ["seq", "type", "run_id"]
    assert type_of(line) == kind


@pytest.mark.parametrize("kind", FIELDS)
def test_a_field_of_a_newer_version_is_passed_over(kind: str) -> None:
    newer = {**json.loads(number(7, encode(event(kind)))), "colour": "red"}
    assert EVENT.validate_python(newer) == event(kind).model_copy(update={"seq": 7})


def test_a_type_that_nobody_knows_is_named() -> None:
    with pytest.raises(ValidationError, match=r"'run\.dreamed' found using 'type' does not match"):
        EVENT.validate_python({"type": "run.dreamed", **COMMON})


def test_the_range_that_is_superseded_is_written_from_and_to() -> None:
    notice = AttemptSuperseded(run_id="r", at=START, first=4, last=9)
    assert json.loads(encode(notice))["from"] == 4
    assert EVENT.validate_python({"type": "attempt.superseded", **COMMON, "from": 4, "to": 9}) == EVENT.validate_python(
        {"type": "attempt.superseded", **COMMON, "first": 4, "last": 9}
    )


def test_an_unknown_value_is_left_out_and_a_null_of_the_users_is_kept() -> None:
    said = json.loads(encode(ToolProgress(run_id="r", at=START, call_id="c", data={"why": None})))
    assert said == {"type": "tool.progress", "run_id": "r", "at": said["at"], "call_id": "c", "data": {"why": None}}
