import pytest

from longrun.activities.failures import ProviderFailure
from longrun.activities.providers.catalog import ProviderCatalog
from longrun.workflows.contract.agents import ModelParams
from longrun.workflows.contract.messages import (
    Message,
    Opaque,
    OpaquePart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
)
from tests.activities.providers.asking import WEATHER, ask, assistant, request, result, results, thought, user
from tests.wire import Wire
from tests.wire_answers import (
    Answer,
    Event,
    anthropic_stream,
    block_events,
    message_end,
    message_start,
    named,
    text_block,
    thinking_block,
    tool_block,
)

MODEL = "anthropic/claude-test"
CITY = '{"city": "Oslo"}'
REDACTED = {"type": "redacted_thinking", "data": "EmwKAh"}
SEARCH: Opaque = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "Oslo"}}
FOUND: Event = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}


def play(server: Wire, *blocks: tuple[Event, ...], stop_reason: str = "end_turn", **more: object) -> None:
    server.play(Answer(anthropic_stream(*blocks, stop_reason=stop_reason, **more)))


def call(call_id: str, arguments: str = CITY) -> ToolCallPart:
    return ToolCallPart(call_id=call_id, name="get_weather", arguments=arguments)


async def test_text_comes_in_pieces_and_ends_with_usage(server: Wire, catalog: ProviderCatalog) -> None:
    play(server, text_block("Hello there"), text_block(""))
    answer = await ask(catalog, MODEL)
    assert answer.texts == ["Hello ", "there"]
    assert answer.parts == [TextPart(text="Hello there")]
    assert answer.finish_reason == "stop"
    assert answer.usage == Usage(
        input_tokens=17, output_tokens=25, cached_input_tokens=3, cache_write_tokens=4, reasoning_tokens=9
    )


async def test_the_request_is_what_the_agent_says(server: Wire, catalog: ProviderCatalog) -> None:
    play(server, text_block("ok"))
    params = ModelParams(temperature=0.5, max_output_tokens=99, reasoning_effort="minimal", parallel_tool_calls=False)
    await ask(catalog, MODEL, request(user("Hi"), tools=[WEATHER], params=params))
    (received,) = server.requests
    assert received.path == "/v1/messages"
    assert received.headers["authorization"] == "Bearer sk-ant-test"
    assert received.body == {
        "model": "claude-test",
        "max_tokens": 99,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "stream": True,
        "tools": [{"name": WEATHER.name, "description": WEATHER.description, "input_schema": WEATHER.parameters}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "low"},
    }


async def test_max_tokens_is_said_even_when_the_agent_does_not(server: Wire, catalog: ProviderCatalog) -> None:
    play(server, text_block("ok"))
    await ask(catalog, MODEL, request(params=ModelParams(reasoning_effort="none"), system=" "))
    body = server.requests[0].body
    assert body["max_tokens"] == 32_000
    assert body["thinking"] == {"type": "disabled"}
    assert "system" not in body


async def test_thinking_and_parallel_calls_go_back_unchanged_and_in_place(
    server: Wire, catalog: ProviderCatalog
) -> None:
    play(
        server,
        thinking_block("Let me think."),
        (REDACTED,),
        thinking_block("", "sig-2"),
        text_block("Looking."),
        tool_block("toolu_a", "get_weather", '{"city": ', '"Oslo"}'),
        tool_block("toolu_b", "get_weather"),
        stop_reason="tool_use",
    )
    answer = await ask(catalog, MODEL, request(tools=[WEATHER]))
    silent = {"type": "thinking", "thinking": "", "signature": "sig-2"}
    assert answer.finish_reason == "tool_calls"
    assert answer.parts == [
        ReasoningPart(text="Let me think.", opaque={"signature": "sig-1"}),
        OpaquePart(opaque={**REDACTED}),
        OpaquePart(opaque={**silent}),
        TextPart(text="Looking."),
        call("toolu_a"),
        call("toolu_b", "{}"),
    ]
    play(server, text_block("Fine."))
    denied = ToolResultPart(call_id="toolu_b", name="get_weather", content="no", status="denied")
    answers = (results(result(call("toolu_a"))), results(denied), user("Hurry."))
    await ask(catalog, MODEL, request(user("Weather?"), answer.message(MODEL), *answers, tools=[WEATHER]))
    assert server.requests[1].body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Let me think.", "signature": "sig-1"},
                REDACTED,
                silent,
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "toolu_a", "name": "get_weather", "input": {"city": "Oslo"}},
                {"type": "tool_use", "id": "toolu_b", "name": "get_weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_a", "content": "fine"},
                {"type": "tool_result", "tool_use_id": "toolu_b", "content": "no", "is_error": True},
                {"type": "text", "text": "Hurry."},
            ],
        },
    ]


async def test_another_model_gets_what_was_said_and_called_but_no_thinking(
    server: Wire, catalog: ProviderCatalog
) -> None:
    parts = (
        ReasoningPart(text="Hm.", opaque={"signature": "sig-1"}),
        OpaquePart(opaque={**REDACTED}),
        TextPart(text="Looking.", opaque={"citations": []}),
        call("functions.get:0", "nonsense"),
    )
    wrote = Message(id="a", role="assistant", parts=parts, provider="anthropic/claude-old")
    play(server, text_block("Fine."))
    await ask(catalog, MODEL, request(user("Weather?"), wrote, results(result(call("functions.get:0")))))
    body = server.requests[0].body
    assert body["messages"][1]["content"] == [
        {"type": "text", "text": "Looking."},
        {
            "type": "tool_use",
            "id": "functions_get_0_019a016c6d9a9787",
            "name": "get_weather",
            "input": {"INVALID_JSON": "nonsense"},
        },
    ]
    assert body["tools"] == [{"name": "get_weather", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}


async def test_what_a_cancel_leaves_is_made_acceptable(server: Wire, catalog: ProviderCatalog) -> None:
    signed = ReasoningPart(text="Hm.", opaque={"signature": "sig-1"})
    cut = (
        TextPart(text=" "),
        OpaquePart(opaque={**SEARCH}),
        signed,
        ToolCallPart(call_id="x", name="y", arguments="{", cut=True),
    )
    system = Message(id="s", role="system", parts=(TextPart(text="Summary."),))
    history = (
        assistant("I begin."),
        user("a"),
        Message(id="c", role="assistant", parts=cut, provider=MODEL),
        user(" "),
        system,
        thought("H", MODEL),
        user("b"),
    )
    play(server, text_block("ok"))
    await ask(catalog, MODEL, request(*history))
    body = server.requests[0].body
    assert body["system"] == "Be brief.\n\nSummary."
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user", "user"]
    texts = [block["text"] for message in body["messages"] for block in message["content"]]
    assert texts == ["(no text)", "I begin.", "a", "b"]


async def test_a_pause_is_asked_again_with_the_message_as_it_is(server: Wire, catalog: ProviderCatalog) -> None:
    paused = {**SEARCH, "input": {}}
    pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in ('{"query"', ': "Oslo"}')]
    play(server, text_block("I search."), (paused, *pieces), stop_reason="pause_turn")
    answer = await ask(catalog, MODEL)
    assert answer.finish_reason == "pause"
    assert answer.parts[1] == OpaquePart(opaque={**SEARCH})
    play(server, (FOUND,), text_block("Found."))
    went_on = await ask(catalog, MODEL, request(user("Oslo?"), answer.message(MODEL)))
    assert server.requests[1].body["messages"][1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "I search."}, SEARCH],
    }
    play(server, text_block("ok"))
    await ask(catalog, MODEL, request(user("Oslo?"), answer.message(MODEL), went_on.message(MODEL), user("Thanks")))
    (sent,) = [m["content"] for m in server.requests[2].body["messages"] if m["role"] == "assistant"]
    assert [block["type"] for block in sent] == ["text", "server_tool_use", "web_search_tool_result", "text"]


async def test_citations_stay_with_their_text(server: Wire, catalog: ProviderCatalog) -> None:
    cited: Event = {"type": "char_location", "cited_text": "x", "document_index": 0}
    play(server, (*text_block("So it is."), {"type": "citations_delta", "citation": cited}))
    answer = await ask(catalog, MODEL)
    assert answer.parts == [TextPart(text="So it is.", opaque={"citations": [dict(cited)]})]
    play(server, text_block("ok"))
    await ask(catalog, MODEL, request(user("a"), answer.message(MODEL), user("b")))
    assert server.requests[1].body["messages"][1]["content"][0]["citations"] == [cited]


async def test_a_finished_call_with_bad_json_is_passed_on_as_the_model_wrote_it(
    server: Wire, catalog: ProviderCatalog
) -> None:
    bad = tool_block("toolu_a", "get_weather", '{"city": "')
    play(server, bad, tool_block("toolu_b", "get_weather", "[1]"), stop_reason="tool_use")
    answer = await ask(catalog, MODEL)
    assert answer.parts == [call("toolu_a", '{"city": "'), call("toolu_b", "[1]")]


@pytest.mark.parametrize(
    ("stop_reason", "reason"),
    [
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "overflow"),
        ("stop_sequence", "stop"),
        ("something_new", "other"),
    ],
)
async def test_stop_reasons_are_outcomes(server: Wire, catalog: ProviderCatalog, stop_reason: str, reason: str) -> None:
    play(server, text_block("So far"), stop_reason=stop_reason)
    assert (await ask(catalog, MODEL)).finish_reason == reason


@pytest.mark.parametrize("pieces", [('{"city": "Os',), ()])
async def test_a_call_that_the_limit_cut_is_no_wish(
    server: Wire, catalog: ProviderCatalog, pieces: tuple[str, ...]
) -> None:
    play(server, text_block("Hm."), tool_block("toolu_a", "get_weather", *pieces), stop_reason="max_tokens")
    answer = await ask(catalog, MODEL)
    assert answer.parts == [TextPart(text="Hm.")]
    assert answer.open == {1: [*pieces]}
    assert answer.finish_reason == "length"


async def test_a_refusal_tells_why_as_a_part_of_the_message(server: Wire, catalog: ProviderCatalog) -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "Not this."}
    play(server, stop_reason="refusal", stop_details=details)
    answer = await ask(catalog, MODEL)
    assert answer.finish_reason == "refusal"
    assert answer.parts == [TextPart(text="Not this.", refusal=True)]
    play(server, text_block("Half"), stop_reason="refusal")
    assert (await ask(catalog, MODEL)).parts == [TextPart(text="Half")]


async def test_a_host_may_send_blocks_whole(server: Wire, catalog: ProviderCatalog) -> None:
    whole = {"type": "tool_use", "id": "toolu_a", "name": "get_weather", "input": {"city": "Oslo"}}
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "sig-9"}
    play(server, (thinking,), ({"type": "text", "text": "Hi."},), (whole,), stop_reason="tool_use")
    answer = await ask(catalog, MODEL)
    expected = [ReasoningPart(text="Hm.", opaque={"signature": "sig-9"}), TextPart(text="Hi."), call("toolu_a")]
    assert answer.parts == expected


async def test_unknown_events_and_deltas_are_skipped(server: Wire, catalog: ProviderCatalog) -> None:
    strange: list[Event] = [{"type": "weather_report", "wind": 3}]
    block = block_events(0, *text_block("Hello"), {"type": "smell_delta", "smell": "rose"})
    unsigned = block_events(1, {"type": "thinking", "thinking": "", "signature": ""})
    server.play(Answer(named(*strange, message_start(), *block, *unsigned, *message_end("end_turn"))))
    assert (await ask(catalog, MODEL)).parts == [TextPart(text="Hello")]


async def test_a_block_that_is_not_closed_ends_with_the_message(server: Wire, catalog: ProviderCatalog) -> None:
    first, second = block_events(0, *text_block("Hi"))[:-1], block_events(1, *text_block("there"))[:-1]
    server.play(Answer(named(message_start(), *first, *second, *message_end("end_turn"))))
    assert (await ask(catalog, MODEL)).parts == [TextPart(text="Hi"), TextPart(text="there")]


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([message_start(), *message_end(None)], id="no stop reason"),
        pytest.param([*block_events(0, *text_block("Hi")), message_end("end_turn")[0]], id="no message_stop"),
        pytest.param([block_events(0, *thinking_block("Hi"))[-2]], id="a block that never began"),
        pytest.param([*block_events(0, *tool_block("s", "web_search", '{"q', kind="server_tool_use"))], id="cut input"),
    ],
)
async def test_a_stream_that_breaks_its_rules_is_a_failure(
    server: Wire, catalog: ProviderCatalog, events: list[Event]
) -> None:
    server.play(Answer(named(*events)))
    with pytest.raises(ProviderFailure) as failure:
        await ask(catalog, MODEL)
    assert failure.value.kind == "invalid"
