import asyncio
from contextlib import aclosing

import pytest

from activities.failures import ProviderFailure
from activities.providers.catalog import ProviderCatalog
from tests.activities.providers.asking import WEATHER, ask, request, result, results, said, stream, user
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
from workflows.contract.agents import ModelParams
from workflows.contract.messages import Message, Opaque, OpaquePart, ReasoningPart, TextPart, ToolCallPart, Usage

MODEL = "openai/gpt-test"
WEB_SEARCH: Opaque = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "x"},
}


def play(server: Wire, *items: Event, end: Event | None = None) -> None:
    server.play(Answer(responses_stream(*items, end=end)))


async def test_text_comes_in_pieces_and_ends_with_usage(server: Wire, catalog: ProviderCatalog) -> None:
    play(server, message_item("Hello there, friend", phase="final_answer"))
    heard = await ask(catalog, MODEL)
    assert heard.texts == ["Hello ", "there, ", "friend"]
    assert heard.parts == [TextPart(text="Hello there, friend", opaque={"id": "msg_0", "phase": "final_answer"})]
    assert heard.finish_reason == "stop"
    assert heard.usage == Usage(
        input_tokens=20, output_tokens=12, cached_input_tokens=5, cache_write_tokens=0, reasoning_tokens=7
    )


async def test_what_is_asked_is_what_the_agent_says(server: Wire, catalog: ProviderCatalog) -> None:
    play(server, message_item("ok"))
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
    play(server, message_item("ok"))
    await ask(catalog, "openai/gpt-4.1-mini", request(params=ModelParams(reasoning_effort="none")))
    assert "include" not in server.requests[0].body
    assert server.requests[0].body["reasoning"] == {"effort": "none"}


async def test_reasoning_and_parallel_calls_go_back_unchanged_to_the_model_that_wrote_them(
    server: Wire, catalog: ProviderCatalog
) -> None:
    reasoning = reasoning_item("First this.", "Then that.")
    calls = [call_item("call_a", "get_weather", '{"city": "Oslo"}'), call_item("call_b", "get_weather", "")]
    play(server, reasoning, message_item("Let me look."), *calls)
    heard = await ask(catalog, MODEL, request(user("Weather?"), tools=[WEATHER]))
    assert heard.finish_reason == "tool_calls"
    thinking, text, oslo, nothing = heard.parts
    assert isinstance(thinking, ReasoningPart)
    assert thinking.text == "First this.\n\nThen that."
    assert isinstance(text, TextPart)
    assert isinstance(oslo, ToolCallPart)
    assert isinstance(nothing, ToolCallPart)
    assert (oslo.call_id, oslo.name, oslo.arguments) == ("call_a", "get_weather", '{"city": "Oslo"}')
    assert nothing.arguments == "{}"

    play(server, message_item("Fine."))
    history = (user("Weather?"), heard.message(MODEL), results(result(oslo), result(nothing, "unknown")))
    await ask(catalog, MODEL, request(*history, tools=[WEATHER]))
    assert server.requests[1].body["input"][1:] == [
        reasoning,
        message_item("Let me look."),
        {
            "type": "function_call",
            "id": "fc_call_a",
            "call_id": "call_a",
            "name": "get_weather",
            "arguments": '{"city": "Oslo"}',
        },
        {"type": "function_call", "id": "fc_call_b", "call_id": "call_b", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_a", "output": "fine"},
        {"type": "function_call_output", "call_id": "call_b", "output": "unknown"},
    ]


async def test_another_model_gets_what_was_said_and_called_but_no_thinking(
    server: Wire, catalog: ProviderCatalog
) -> None:
    play(server, reasoning_item("Hm."), message_item("Look."), call_item("call_a", "get_weather", "not json"))
    heard = await ask(catalog, MODEL)
    (call,) = heard.message(MODEL).calls
    play(server, message_item("ok"))
    cut = Message(
        id="c",
        role="assistant",
        parts=(
            TextPart(text=""),
            ToolCallPart(call_id="x", name="y", arguments="{", cut=True),
        ),
    )
    system = Message(id="s", role="system", parts=(TextPart(text="Note."),))
    history = (user("Weather?"), heard.message(MODEL), results(result(call)), cut, system, user("So?"))
    await ask(catalog, "openai/other", request(*history))
    assert server.requests[1].body["input"][1:] == [
        {"role": "assistant", "content": "Look."},
        {
            "type": "function_call",
            "call_id": "call_a",
            "name": "get_weather",
            "arguments": '{"INVALID_JSON": "not json"}',
        },
        {"type": "function_call_output", "call_id": "call_a", "output": "fine"},
        {"role": "system", "content": "Note."},
        {"role": "user", "content": "So?"},
    ]


async def test_hidden_reasoning_and_a_providers_own_tool_are_kept_without_a_word(
    server: Wire, catalog: ProviderCatalog
) -> None:
    hidden = reasoning_item()
    play(server, hidden, WEB_SEARCH, message_item("Found."))
    heard = await ask(catalog, MODEL)
    assert heard.parts[:2] == [OpaquePart(opaque=hidden), OpaquePart(opaque=WEB_SEARCH)]
    assert heard.texts == ["Found."]
    play(server, message_item("ok"))
    server.requests.clear()
    text_only = (heard.parts[0], heard.parts[2])
    await ask(
        catalog,
        MODEL,
        request(user("a"), Message(id="a", role="assistant", parts=text_only, provider=MODEL), user("b")),
    )
    assert server.requests[0].body["input"][1:3] == [hidden, message_item("Found.")]


async def test_reasoning_whose_answer_a_cancel_cut_is_left_out(server: Wire, catalog: ProviderCatalog) -> None:
    thinking = ReasoningPart(text="Hm.", opaque={**reasoning_item("Hm.")})
    cut_text = Message(id="1", role="assistant", parts=(thinking, TextPart(text="It is", cut=True)), provider=MODEL)
    cut_call = Message(
        id="2",
        role="assistant",
        parts=(thinking, ToolCallPart(call_id="c", name="n", arguments="{", cut=True)),
        provider=MODEL,
    )
    cut_thought = Message(id="3", role="assistant", parts=(ReasoningPart(text="H", cut=True),), provider=MODEL)
    play(server, message_item("ok"))
    await ask(catalog, MODEL, request(user("a"), cut_text, user("b"), cut_call, user("c"), cut_thought, user("d")))
    assert server.requests[0].body["input"][1:] == [
        {"role": "assistant", "content": "It is"},
        {"role": "user", "content": "b"},
        {"role": "user", "content": "c"},
        {"role": "user", "content": "d"},
    ]


async def test_reasoning_that_a_host_did_not_encrypt_takes_the_ids_with_it(
    server: Wire, catalog: ProviderCatalog
) -> None:
    play(server, reasoning_item("Hm.", encrypted=None), message_item("Yes."))
    heard = await ask(catalog, MODEL)
    assert heard.parts[0] == ReasoningPart(text="Hm.")
    play(server, message_item("ok"))
    await ask(catalog, MODEL, request(user("a"), heard.message(MODEL), user("b")))
    assert server.requests[1].body["input"][1] == {"role": "assistant", "content": "Yes."}


async def test_a_refusal_is_a_part_of_the_message(server: Wire, catalog: ProviderCatalog) -> None:
    content: list[Event] = [
        {"type": "output_text", "text": "Well. ", "annotations": []},
        {"type": "refusal", "refusal": "I will not."},
    ]
    refusal = {**message_item(""), "content": content}
    play(server, refusal)
    heard = await ask(catalog, MODEL)
    assert heard.finish_reason == "refusal"
    assert heard.parts == [
        TextPart(text="Well. ", opaque={"id": "msg_0"}),
        TextPart(text="I will not.", refusal=True, opaque={"id": "msg_0"}),
    ]
    play(server, message_item("ok"))
    await ask(catalog, MODEL, request(user("a"), heard.message(MODEL), user("b")))
    assert server.requests[1].body["input"][1] == refusal


async def test_length_and_filter_are_outcomes_and_a_cut_call_is_no_wish(server: Wire, catalog: ProviderCatalog) -> None:
    text, call = message_item("So far"), call_item("call_a", "get_weather", '{"ci', status="incomplete")
    end = {
        "type": "response.incomplete",
        "response": response("incomplete", [text, call], incomplete_details={"reason": "max_output_tokens"}),
    }
    play(server, text, call, end=end)
    heard = await ask(catalog, MODEL)
    assert heard.finish_reason == "length"
    assert [part.type for part in heard.parts] == ["text"]
    assert heard.open == {1: ['{"ci']}

    filtered = response("incomplete", [text], incomplete_details={"reason": "content_filter"})
    play(server, text, end={"type": "response.incomplete", "response": filtered})
    assert (await ask(catalog, MODEL)).finish_reason == "content_filter"
    play(server, text, end={"type": "response.incomplete", "response": response("incomplete", [text])})
    assert (await ask(catalog, MODEL)).finish_reason == "other"


async def test_the_whole_item_adds_what_its_deltas_left_out(server: Wire, catalog: ProviderCatalog) -> None:
    whole = message_item("Hello there, friend")
    added, first, *_ = item_events(0, whole)
    final = {"type": "response.completed", "response": response("completed", [whole])}
    server.play(Answer(named(added, first, final)))
    heard = await ask(catalog, MODEL)
    assert heard.texts == ["Hello ", "there, friend"]


async def test_a_text_without_its_item_stands_as_it_came(server: Wire, catalog: ProviderCatalog) -> None:
    unknown: Event = {"type": "response.news_of_tomorrow", "surprise": 1}
    orphan: Event = {"type": "response.function_call_arguments.delta", "output_index": 7, "delta": "{"}
    events = item_events(0, message_item("Hello there"))[:-1]
    final = {"type": "response.completed", "response": response("completed", usage=None)}
    server.play(Answer(named(unknown, orphan, *events, final)))
    heard = await ask(catalog, MODEL)
    assert heard.parts == [TextPart(text="Hello there")]
    assert heard.usage == Usage()


async def test_raw_reasoning_text_is_reasoning_too(server: Wire, catalog: ProviderCatalog) -> None:
    item: Opaque = {**reasoning_item(), "content": [{"type": "reasoning_text", "text": "Raw."}]}
    delta: Event = {"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "Raw."}
    done: Event = {"type": "response.output_item.done", "output_index": 0, "item": item}
    final = {"type": "response.completed", "response": response("completed", [item])}
    server.play(Answer(named(delta, done, final)))
    (part,) = (await ask(catalog, MODEL)).parts
    assert part == ReasoningPart(text="Raw.", opaque=item)


async def test_a_whole_text_that_is_not_what_was_streamed_is_a_failure(server: Wire, catalog: ProviderCatalog) -> None:
    *begun, done = item_events(0, message_item("Hello there"))
    other = {**done, "item": message_item("Good bye")}
    final = {"type": "response.completed", "response": response("completed")}
    server.play(Answer(named(*begun, other, final)))
    with pytest.raises(ProviderFailure, match="not what was streamed") as failure:
        await ask(catalog, MODEL)
    assert failure.value.kind == "invalid"


@pytest.mark.parametrize(
    ("end", "kind", "words"),
    [
        ({"type": "error", "code": "server_error", "message": "boom", "param": None}, "transient", "boom"),
        ({"type": "error", "code": None, "message": "odd", "param": None}, "transient", "odd"),
        (
            {"type": "response.failed", "response": response("failed", error={"code": "bio_policy", "message": "no"})},
            "fatal",
            "no",
        ),
        ({"type": "response.failed", "response": response("failed")}, "transient", "the model failed"),
        (
            {"type": "error", "code": "context_length_exceeded", "message": "Too long.", "param": None},
            "overflow",
            "Too long",
        ),
        ({"type": "error", "error": {"code": "rate_limit_exceeded", "message": "slow"}}, "transient", "slow"),
    ],
)
async def test_a_failure_inside_the_stream_is_raised(
    server: Wire, catalog: ProviderCatalog, end: Event, kind: str, words: str
) -> None:
    play(server, message_item("Half"), end=end)
    with pytest.raises(ProviderFailure, match=words) as failure:
        await ask(catalog, MODEL)
    assert failure.value.kind == kind


async def test_closing_the_generator_closes_the_connection(server: Wire, catalog: ProviderCatalog) -> None:
    stall = Stall()
    server.play(Answer([*responses_stream(message_item("Hello there, friend"))[:5], stall]))
    async with aclosing(stream(catalog, MODEL, request())) as deltas:
        await anext(deltas)
    async with asyncio.timeout(10):
        await stall.left.wait()


async def test_the_connection_is_used_again(server: Wire, catalog: ProviderCatalog) -> None:
    for _ in range(3):
        play(server, message_item("ok"))
        await ask(catalog, MODEL, request(user("a"), said("b"), user("c")))
    assert len({received.client for received in server.requests}) == 1
