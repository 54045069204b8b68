"""Reading what anybody may send to a workflow."""

import json

import pytest
from pydantic import BaseModel

from longrun.workflows.contract.runs import Cancel, Decision, Said
from longrun.workflows.signals import NotUnderstoodError, read_signal


def raw(data: str) -> object:
    """An argument as it is decoded."""
    return json.loads(data)


@pytest.mark.parametrize(
    ("name", "given", "signal"),
    [
        ("decide", '{"call_id":"c","decision":"approve","more":1}', Decision(call_id="c", decision="approve")),
        ("decide", r'{"call_id":"\ud83d\ude00","decision":"deny","reason":"a\u0000"}',
         Decision(call_id="\U0001f600", decision="deny", reason="a\ufffd")),
        ("say", ' {"text":"a"} ', Said(text="a")),
        ("cancel", '{"reason":"r","by":"ann"}', Cancel(reason="r", by="ann")),
        ("cancel", "{}", Cancel()),
        ("cancel", "null", Cancel()),
    ],
)  # fmt: skip
def test_a_signal_of_ours_is_read(name: str, given: str, signal: BaseModel) -> None:
    assert read_signal(name, [raw(given)]) == signal


def test_cancel_needs_no_argument() -> None:
    assert read_signal("cancel", []) == read_signal("cancel", [None]) == Cancel()


@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [
        ("nosuch", [raw("{}")], "there is no signal of this name"),
        ("decide", [], "valid dictionary"),
        ("say", [None], "valid dictionary"),
        ("decide", [raw("{}")], "call_id: Field required"),
        ("decide", [raw('{"call_id":"c"}')], "decision: Field required"),
        ("decide", [raw('"approve"')], "valid dictionary"),
        ("decide", [raw("[1]")], "valid dictionary"),
        ("decide", [raw('{"call_id":"c","decision":"edit","arguments":{}}')], "needs args"),
        ("decide", [raw('{"call_id":"c","decision":"edit","args":null}')], "needs args"),
        ("decide", [raw('{"call_id":"c","decision":"answer"}')], "needs answer"),
        ("decide", [raw('{"call_id":5,"decision":"approve"}')], "call_id: "),
        ("decide", [raw(json.dumps({"call_id": "c" * 6000, "decision": "approve"}))], "call_id: "),
        ("say", [raw("5")], "valid dictionary"),
        ("say", [raw('{"text":"a"}'), raw("1")], "it has 2 arguments"),
        ("cancel", [raw("5")], "valid dictionary"),
    ],
)
def test_what_is_no_signal_of_ours_is_named(name: str, given: list[object], reason: str) -> None:
    with pytest.raises(NotUnderstoodError) as error:
        read_signal(name, given)
    assert reason in str(error.value)
    assert len(str(error.value)) <= 300
