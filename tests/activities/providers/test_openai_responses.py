import asyncio
from contextlib import aclosing

import pytest

from longrun.activities.failures import ProviderFailure
from longrun.activities.providers.catalog import ProviderCatalog
from longrun.workflows.contract.agents import ModelParams
from longrun.workflows.contract.messages import Opaque, ReasoningPart, TextPart, Usage
from tests.activities.providers.asking import WEATHER, ask, assistant, play_responses, request, stream, user
from tests.patience import PATIENCE
from tests.wire import Wire
from tests.wire_answers import (
    Answer,
    Event,
    Stall,
    call_item,
    item_events,
    message_item,
    named,
    reasoning_item,
    response,
    responses_stream,
)

MODEL = "openai/gpt-test"


async def test_text_comes_in_pieces_and_ends_with_usage(server: Wire, catalog: ProviderCatalog) -> None:
    play_responses(server, message_item("Hello there, friend", phase="final_answer"))
    answer = await ask(catalog, MODEL)
    assert answer.texts == ["Hello ", "there, ", "friend"]
    assert answer.parts == [TextPart(text="Hello there, friend", opaque={"id": "msg_0", "phase": "final_answer"})]
    assert answer.finish_reason == "stop"
    assert answer.usage == Usage(
        input_tokens=20, output_tokens=12, cached_input_tokens=5, cache_write_tokens=0, reasoning_tokens=7
    )


async def test_the_request_is_what_the_agent_says(server: Wire, catalog: ProviderCatalog) -> None:
    play_responses(server, message_item("ok"))
    params = ModelParams(temperature=0.5, max_output_tokens=99, reasoning_effort="low", parallel_tool_calls=False)
    await ask(catalog, MODEL, request(user("Hi"), tools=[WEATHER], params=params))
    (received,) = server.requests
    assert received.path == "/v1/responses"
    assert received.headers["authorization"] == "Bearer sk-test"
    assert received.body == {
        "model": "gpt-test",
        "input": [{"role": "user", "content": "Hi"}],
        "instructions": "Be brief.",
        "store": False,
        "stream": True,
        "stream_options": {"include_obfuscation": False},
        "include": ["reasoning.encrypted_content"],
        "tools": [
            {
                "type": "function",
                "name": "get_weather",
                "description": "The weather of a city.",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
                "strict": False,
            }
        ],
        "parallel_tool_calls": False,
        "temperature": 0.5,
        "max_output_tokens": 99,
        "reasoning": {"effort": "low", "summary": "auto"},
    }


async def test_a_model_that_cannot_reason_is_not_asked_for_encrypted_reasoning(
    server: Wire, catalog: ProviderCatalog
) -> None:
    play_responses(server, message_item("ok"))
    await ask(catalog, "openai/gpt-4.1-mini", request(params=ModelParams(reasoning_effort="none")))
    assert "include" not in server.requests[0].body
    assert server.requests[0].body["reasoning"] == {"effort": "none"}


async def test_a_refusal_is_a_part_of_the_message(server: Wire, catalog: ProviderCatalog) -> None:
    content: list[Event] = [
        {"type": "output_text", "text": "Well. ", "annotations": []},
        {"type": "refusal", "refusal": "I will not."},
    ]
    refusal = {**message_item(""), "content": content}
    play_responses(server, refusal)
    answer = await ask(catalog, MODEL)
    assert answer.finish_reason == "refusal"
    assert answer.parts == [
        TextPart(text="Well. ", opaque={"id": "msg_0"}),
        TextPart(text="I will not.", refusal=True, opaque={"id": "msg_0"}),
    ]
    play_responses(server, message_item("ok"))
    await ask(catalog, MODEL, request(user("a"), answer.message(MODEL), user("b")))
    assert server.requests[1].body["input"][1] == refusal


async def test_length_and_filter_are_outcomes_and_a_cut_call_is_no_wish(server: Wire, catalog: ProviderCatalog) -> None:
    text, call = message_item("So far"), call_item("call_a", "get_weather", '{"ci', status="incomplete")
    end = {
        "type": "response.incomplete",
        "response": response("incomplete", [text, call], incomplete_details={"reason": "max_output_tokens"}),
    }
    play_responses(server, text, call, end=end)
    answer = await ask(catalog, MODEL)
    assert answer.finish_reason == "length"
    assert [part.type for part in answer.parts] == ["text"]
    assert answer.open == {1: ['{"ci']}

    filtered = response("incomplete", [text], incomplete_details={"reason": "content_filter"})
    play_responses(server, text, end={"type": "response.incomplete", "response": filtered})
    assert (await ask(catalog, MODEL)).finish_reason == "content_filter"
    play_responses(server, text, end={"type": "response.incomplete", "response": response("incomplete", [text])})
    assert (await ask(catalog, MODEL)).finish_reason == "length"


async def test_the_whole_item_adds_what_its_deltas_omitted(server: Wire, catalog: ProviderCatalog) -> None:
    whole = message_item("Hello there, friend")
    added, first, *_ = item_events(0, whole)
    final = {"type": "response.completed", "response": response("completed", [whole])}
    server.play(Answer(named(added, first, final)))
    answer = await ask(catalog, MODEL)
    assert answer.texts == ["Hello ", "there, friend"]


async def test_a_text_without_its_item_stands_as_it_came(server: Wire, catalog: ProviderCatalog) -> None:
    unknown: Event = {"type": "response.news_of_tomorrow", "surprise": 1}
    orphan: Event = {"type": "response.function_call_arguments.delta", "output_index": 7, "delta": "{"}
    events = item_events(0, message_item("Hello there"))[:-1]
    final = {"type": "response.completed", "response": response("completed", usage=None)}
    server.play(Answer(named(unknown, orphan, *events, final)))
    answer = await ask(catalog, MODEL)
    assert answer.parts == [TextPart(text="Hello there")]
    assert answer.usage == Usage()


async def test_raw_reasoning_text_is_reasoning_too(server: Wire, catalog: ProviderCatalog) -> None:
    item: Opaque = {**reasoning_item(), "content": [{"type": "reasoning_text", "text": "Raw."}]}
    delta: Event = {"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "Raw."}
    done: Event = {"type": "response.output_item.done", "output_index": 0, "item": item}
    final = {"type": "response.completed", "response": response("completed", [item])}
    server.play(Answer(named(delta, done, final)))
    (part,) = (await ask(catalog, MODEL)).parts
    assert part == ReasoningPart(text="Raw.", opaque=item)


async def test_where_the_whole_text_differs_what_was_streamed_stands(server: Wire, catalog: ProviderCatalog) -> None:
    *started, done = item_events(0, message_item("Hello there"))
    other = {**done, "item": message_item("Good bye")}
    final = {"type": "response.completed", "response": response("completed")}
    server.play(Answer(named(*started, other, final)))
    (part,) = (await ask(catalog, MODEL)).parts
    assert isinstance(part, TextPart)
    assert part.text == "Hello there"


async def test_a_whole_item_that_counts_its_contents_anew_says_nothing_twice(
    server: Wire, catalog: ProviderCatalog
) -> None:
    *started, done = item_events(0, message_item("Hello there"))
    whole = message_item("Hello there")
    whole["content"] = [{"text": "x"}, {"": {"": []}}, {**whole["content"][0], "text": "Hello there, you."}]
    final = {"type": "response.completed", "response": response("completed", [whole])}
    server.play(Answer(named(*started, {**done, "item": whole}, final)))
    (part,) = (await ask(catalog, MODEL)).parts
    assert isinstance(part, TextPart)
    assert part.text == "Hello there, you."


async def test_a_whole_item_without_its_id_and_with_another_index_says_nothing_twice(
    server: Wire, catalog: ProviderCatalog
) -> None:
    *started, done = item_events(0, message_item("Hello there"))
    whole = {key: value for key, value in message_item("Hello there").items() if key != "id"}
    final = {"type": "response.completed", "response": response("completed", [message_item("Hello there")])}
    server.play(Answer(named(*started, {**done, "output_index": 1, "item": whole}, final)))
    (part,) = (await ask(catalog, MODEL)).parts
    assert isinstance(part, TextPart)
    assert part.text == "Hello there"


async def test_a_whole_item_of_another_id_where_one_is_open_is_that_one(server: Wire, catalog: ProviderCatalog) -> None:
    _, *deltas, done = item_events(0, message_item("Hello there"))
    whole = {**message_item("Hello there, you."), "id": "msg_other"}
    final = {"type": "response.completed", "response": response("completed", [message_item("Hello there")])}
    server.play(Answer(named(*deltas, {**done, "item": whole}, final)))
    (part,) = (await ask(catalog, MODEL)).parts
    assert isinstance(part, TextPart)
    assert part.text == "Hello there, you."


async def test_a_whole_item_of_another_kind_is_not_the_one_that_is_open_at_its_index(
    server: Wire, catalog: ProviderCatalog
) -> None:
    thought: Event = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "ENC"}
    _, *deltas, done = item_events(0, message_item("Hello there"))
    first = {**done, "item": thought}
    final = {"type": "response.completed", "response": response("completed", [thought, message_item("Hello there")])}
    server.play(Answer(named(*deltas, first, {**done, "output_index": 1}, final)))
    parts = (await ask(catalog, MODEL)).parts
    assert [part.text for part in parts if isinstance(part, TextPart)] == ["Hello there"]


async def test_items_of_one_index_are_told_apart_by_their_ids(server: Wire, catalog: ProviderCatalog) -> None:
    texts = {"msg_1": "One", "msg_2": "Two"}
    deltas: list[Event] = [
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": item_id, "delta": said}
        for item_id, said in texts.items()
    ]
    items: list[Event] = [{**message_item(said), "id": item_id} for item_id, said in texts.items()]
    final: Event = {"type": "response.completed", "response": response("completed", items)}
    server.play(Answer(named(*deltas, final)))
    parts = (await ask(catalog, MODEL)).parts
    assert [part.text for part in parts if isinstance(part, TextPart)] == ["One", "Two"]


@pytest.mark.parametrize(
    ("end", "kind", "phrase"),
    [
        ({"type": "error", "code": "server_error", "message": "boom", "param": None}, "transient", "boom"),
        ({"type": "error", "code": None, "message": "odd", "param": None}, "transient", "odd"),
        (
            {"type": "response.failed", "response": response("failed", error={"code": "bio_policy", "message": "no"})},
            "fatal",
            "no",
        ),
        ({"type": "response.failed", "response": response("failed")}, "transient", "the model failed"),
        ({"type": "response.cancelled", "response": response("cancelled")}, "transient", "the model was cancelled"),
        (
            {"type": "error", "code": "context_length_exceeded", "message": "Too long.", "param": None},
            "overflow",
            "Too long",
        ),
        ({"type": "error", "error": {"code": "rate_limit_exceeded", "message": "slow"}}, "transient", "slow"),
    ],
)
async def test_a_failure_inside_the_stream_is_raised(
    server: Wire, catalog: ProviderCatalog, end: Event, kind: str, phrase: str
) -> None:
    play_responses(server, message_item("Half"), end=end)
    with pytest.raises(ProviderFailure, match=phrase) as failure:
        await ask(catalog, MODEL)
    assert failure.value.kind == kind


async def test_closing_the_generator_closes_the_connection(server: Wire, catalog: ProviderCatalog) -> None:
    stall = Stall()
    server.play(Answer([*responses_stream(message_item("Hello there, friend"))[:5], stall]))
    async with aclosing(stream(catalog, MODEL, request())) as deltas:
        await anext(deltas)
    async with asyncio.timeout(PATIENCE):
        await stall.disconnected.wait()


async def test_the_connection_is_used_again(server: Wire, catalog: ProviderCatalog) -> None:
    for _ in range(3):
        play_responses(server, message_item("ok"))
        await ask(catalog, MODEL, request(user("a"), assistant("b"), user("c")))
    assert len({received.client for received in server.requests}) == 1
