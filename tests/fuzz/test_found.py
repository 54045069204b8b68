"""Streams that mutation has found, made small: each was once kept as what nobody could read or send back."""

import json
from collections.abc import Sequence

import pytest

from longrun.workflows.contract.messages import OpaquePart, TextPart, Usage
from tests.fuzz.mutations import Mutant
from tests.fuzz.reading import Answered, Reading
from tests.fuzz.streams import Wire
from tests.wire_answers import (
    DONE,
    Event,
    anthropic_stream,
    call_item,
    chat_stream,
    chunk,
    data,
    item_events,
    message_item,
    named,
    response,
    responses_stream,
)


async def _read(wire: Wire, frames: Sequence[bytes]) -> Answered:
    reading = Reading(wire)
    answered = await reading.read(Mutant(frames, "by hand", repeats=False))
    await reading.aclose()
    return answered


ENDED: Event = {"type": "response.completed", "response": response("completed")}
CALLED = item_events(0, call_item("c1", "pay", '{"amount": 5}'))
SAID = item_events(0, message_item("Hello"))
ITEM = message_item("\xab1\xbb Hello")
OTHER = {**ITEM, "id": "msg_9"}
MARKED = item_events(0, ITEM)


def whole(item: Event) -> Event:
    """The end of an answer that has this item alone."""
    return {"type": "response.completed", "response": response("completed", [item])}


FAILURES: list[tuple[Wire, Sequence[bytes], str]] = [
    ("anthropic", anthropic_stream(({"id": "t1", "name": "pay", "input": {}},)), "block 0 has no type"),
    ("anthropic", anthropic_stream(({"type": "web_search_tool_result", "tool_use_id": {}},)), "tool_use_id"),
    ("openai-chat", data({"error": {"code": "\ud83d"}}), "\ufffd"),
    ("openai", named(*CALLED[:-1], {**CALLED[-1], "item": {"type": "other", "id": "fc_c1"}}, ENDED), "ends as none"),
    (
        "openai",
        named(*SAID[:-1], {**CALLED[-1], "item": call_item("c1", "pay", "{}", id="msg_0")}, ENDED),
        "goes on as",
    ),
    ("openai-chat", data({"choices": [], "x": json.loads("[" * 150 + "]" * 150)}), "more than 100 levels deep"),
]


@pytest.mark.parametrize(("wire", "frames", "phrase"), FAILURES)
async def test_what_cannot_be_meant_is_a_failure(wire: Wire, frames: Sequence[bytes], phrase: str) -> None:
    failure = (await _read(wire, frames)).failure
    assert failure is not None
    assert phrase in str(failure)


async def test_numbers_that_json_does_not_have_are_null_and_are_sent_back_so() -> None:
    item = {"type": "web_search_call", "id": "ws_1", "score": float("nan"), "most": float("inf")}
    message = (await _read("openai", [*responses_stream(item)])).message
    assert message is not None
    assert message.parts == (OpaquePart(opaque={**item, "score": None, "most": None}),)


async def test_counts_that_are_none_are_unknown() -> None:
    used = {"prompt_tokens": -1, "completion_tokens": 10**30, "prompt_tokens_details": {"cached_tokens": True}}
    answered = await _read("openai-chat", [*data(chunk({"content": "Hi"}, "stop"), chunk(usage=used)), DONE])
    assert answered.usage == Usage()


@pytest.mark.parametrize("given", ["", "x" * 2000])
async def test_an_answer_without_an_id_of_use_is_never_resumed(given: str) -> None:
    created: Event = {"type": "response.created", "response": response("in_progress", id=given)}
    cut = await _read("openai", named(created, *SAID[:-1]))
    assert cut.failure is not None
    assert cut.resume_points == 0


CHANGING: dict[str, tuple[Event, ...]] = {
    "as it ends": (*MARKED[:-1], {**MARKED[-1], "item": OTHER}, whole(ITEM)),
    "in the whole": (*MARKED, whole(OTHER)),
    "in its deltas": (MARKED[0], *({**event, "item_id": "msg_8"} for event in MARKED[1:-1]), MARKED[-1], whole(ITEM)),
    "each time": (MARKED[0], {**MARKED[1], "item_id": "msg_8"}, {**MARKED[-1], "item": OTHER}, whole(ITEM)),
}


@pytest.mark.parametrize("where", CHANGING)
async def test_an_item_whose_id_changes_is_said_once(where: str) -> None:
    message = (await _read("openai", named(*CHANGING[where]))).message
    assert message is not None
    assert message.text == "\xab1\xbb Hello"


async def test_a_good_stream_is_what_it_was() -> None:
    message = (await _read("openai-chat", chat_stream({"content": "Hello"}))).message
    assert message is not None
    assert message.parts == (TextPart(text="Hello"),)
