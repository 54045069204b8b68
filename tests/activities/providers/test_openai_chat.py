import pytest

from longrun.activities.failures import ProviderFailure
from longrun.activities.providers.catalog import ProviderCatalog
from longrun.activities.providers.provider import PartStarted
from longrun.workflows.contract.agents import ModelParams
from longrun.workflows.contract.messages import Message, ReasoningPart, TextPart, ToolCallPart, Usage
from tests.activities.providers.asking import WEATHER, ask, assistant, request, result, results, user
from tests.wire import Wire
from tests.wire_answers import DONE, Answer, Event, call_piece, chat_stream, chunk, data

MODEL = "openai-chat/small"
CITY = '{"city": "Oslo"}'


def play(server: Wire, *deltas: Event, finish: str = "stop") -> None:
    server.play(Answer(chat_stream(*deltas, finish=finish)))


def call(call_id: str, arguments: str = CITY) -> ToolCallPart:
    return ToolCallPart(call_id=call_id, name="get_weather", arguments=arguments)


async def test_text_comes_in_pieces_and_ends_with_usage(server: Wire, catalog: ProviderCatalog) -> None:
    play(server, {"content": "Hel"}, {"content": "lo"})
    answer = await ask(catalog, MODEL)
    assert answer.texts == ["Hel", "lo"]
    assert answer.parts == [TextPart(text="Hello")]
    assert answer.finish_reason == "stop"
    assert answer.usage == Usage(input_tokens=11, output_tokens=6, cached_input_tokens=3, reasoning_tokens=2)


async def test_the_request_is_what_the_agent_says(server: Wire, catalog: ProviderCatalog) -> None:
    play(server, {"content": "ok"})
    params = ModelParams(temperature=0.5, max_output_tokens=99, reasoning_effort="low", parallel_tool_calls=False)
    await ask(catalog, MODEL, request(user("Hi"), tools=[WEATHER], params=params))
    (received,) = server.requests
    assert received.path == "/v1/chat/completions"
    function = {"name": WEATHER.name, "description": WEATHER.description, "parameters": WEATHER.parameters}
    assert received.body == {
        "model": "small",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [{"type": "function", "function": function}],
        "parallel_tool_calls": False,
        "temperature": 0.5,
        "max_tokens": 99,
        "reasoning_effort": "low",
    }


async def test_a_host_that_may_not_know_a_field_is_not_sent_it(server: Wire, catalog: ProviderCatalog) -> None:
    play(server, {"content": "ok"})
    await ask(catalog, MODEL, request(tools=[WEATHER], system=""))
    assert set(server.requests[0].body) == {"model", "messages", "stream", "stream_options", "tools"}


async def test_parallel_calls_come_in_pieces_by_index(server: Wire, catalog: ProviderCatalog) -> None:
    play(
        server,
        {"content": "Let me look."},
        call_piece(0, "", "call_a", "get_weather"),
        call_piece(1, "", "call_b", "get_weather"),
        call_piece(0, '{"city": '),
        call_piece(1, "{}"),
        call_piece(0, '"Oslo"}'),
        finish="tool_calls",
    )
    answer = await ask(catalog, MODEL)
    assert answer.parts == [TextPart(text="Let me look."), call("call_a"), call("call_b", "{}")]
    assert answer.finish_reason == "tool_calls"


async def test_calls_and_results_go_back_in_the_order_that_hosts_insist_on(
    server: Wire, catalog: ProviderCatalog
) -> None:
    wrote = Message(id="a", role="assistant", parts=(call("call_a"), call("call_b", "[1]")), provider=MODEL)
    system = Message(id="s", role="system", parts=(TextPart(text="Note."),))
    sent = (
        results(result(call("call_a"))),
        results(result(call("call_b"), "")),
        user("And?"),
        assistant(""),
        assistant("So."),
    )
    play(server, {"content": "ok"})
    await ask(catalog, MODEL, request(user("Weather?"), wrote, *sent, system, user("Yes?")))
    calls = [
        {"id": "call_a", "type": "function", "function": {"name": "get_weather", "arguments": CITY}},
        {
            "id": "call_b",
            "type": "function",
            "function": {"name": "get_weather", "arguments": '{"INVALID_JSON": "[1]"}'},
        },
    ]
    assert server.requests[0].body["messages"][2:] == [
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_a", "content": "fine"},
        {"role": "tool", "tool_call_id": "call_b", "content": ""},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "So."},
        {"role": "system", "content": "Note."},
        {"role": "user", "content": "Yes?"},
    ]


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
async def test_reasoning_goes_back_under_its_own_name_beside_calls_to_the_same_model(
    server: Wire, catalog: ProviderCatalog, name: str
) -> None:
    play(server, {name: "Let me "}, {name: "think."}, call_piece(0, CITY, "call_a", "get_weather"))
    answer = await ask(catalog, MODEL)
    assert answer.parts == [ReasoningPart(text="Let me think.", opaque={"field": name}), call("call_a")]
    history = request(user("Weather?"), answer.message(MODEL), results(result(call("call_a"))))
    play(server, {name: "Hm.", "content": "Fine."})
    await ask(catalog, MODEL, history)
    assert server.requests[1].body["messages"][2][name] == "Let me think."
    play(server, {"content": "Fine."})
    await ask(catalog, "openai-chat/other", history)
    assert name not in server.requests[2].body["messages"][2]


@pytest.mark.parametrize(
    ("deltas", "ids"),
    [
        pytest.param([call_piece(0, CITY, None, "get_weather")], ["call_456789ab_"], id="no id"),
        pytest.param(
            [call_piece(0, '{"city": ', "call_a", "get_weather"), call_piece(0, '"Oslo"}', "call_a", "get_weather")],
            ["call_a"],
            id="id and name in every piece",
        ),
        pytest.param(
            [call_piece(0, CITY, "call_a", "get_weather"), call_piece(0, CITY, "call_b", "get_weather")],
            ["call_a", "call_b"],
            id="one index for all",
        ),
        pytest.param(
            [call_piece(0, CITY, None, "get_weather"), call_piece(0, CITY, None, "get_weather")],
            ["call_", "call_"],
            id="one index and no ids",
        ),
        pytest.param(
            [
                {"tool_calls": [{"id": "call_a", "function": {"name": "get_weather", "arguments": '{"city": '}}]},
                {"tool_calls": [{"function": {"arguments": '"Oslo"}'}}]},
                {"tool_calls": [{"id": "call_b", "function": {"name": "get_weather", "arguments": CITY}}]},
            ],
            ["call_a", "call_b"],
            id="no index",
        ),
        pytest.param(
            [call_piece(0, '{"city": ', "call_a"), call_piece(0, '"Oslo"}', None, "get_weather")],
            ["call_a"],
            id="name comes late",
        ),
        pytest.param(
            [call_piece(0, '{"city": ', "call_a", "get_weather"), call_piece(0, '"Oslo"}', None, "get_weather")],
            ["call_a"],
            id="name again, arguments open",
        ),
    ],
)
async def test_the_ways_of_compatible_hosts_to_send_calls_are_understood(
    server: Wire, catalog: ProviderCatalog, deltas: list[Event], ids: list[str]
) -> None:
    server.play(Answer([*data(*(chunk(delta) for delta in deltas), chunk({}, "stop"))]))
    answer = await ask(catalog, MODEL)
    calls = answer.message(MODEL).calls
    assert answer.finish_reason == "tool_calls"
    assert [found.arguments for found in calls] == [CITY] * len(ids)
    assert len({found.call_id for found in calls}) == len(ids)
    assert all(
        found.call_id.startswith(begin.removesuffix("456789ab_")) for found, begin in zip(calls, ids, strict=True)
    )
    assert answer.usage == Usage()


async def test_what_only_its_host_reads_goes_back_to_it_and_to_nobody_else(
    server: Wire, catalog: ProviderCatalog
) -> None:
    signed = {"extra_content": {"google": {"thought_signature": "EjQK"}}}
    details = [{"type": "reasoning.encrypted", "data": "AAA", "index": 0}]
    piece = call_piece(0, CITY, "call_a", "get_weather")
    piece["tool_calls"][0] |= signed
    play(server, {"reasoning_details": details}, piece)
    answer = await ask(catalog, MODEL)
    history = request(user("Weather?"), answer.message(MODEL), results(result(call("call_a"))))
    for number, (model, expected) in enumerate([(MODEL, True), ("openai-chat/other", False)], 1):
        play(server, {"content": "Fine."})
        await ask(catalog, model, history)
        sent = server.requests[number].body["messages"][2]
        assert ("reasoning_details" in sent, "extra_content" in sent["tool_calls"][0]) == (expected, expected)


async def test_a_made_id_names_run_and_step(server: Wire, catalog: ProviderCatalog) -> None:
    play(server, call_piece(0, "", None, "get_weather"))
    assert (await ask(catalog, MODEL)).parts == [call("call_0123456789ab_3_1", "{}")]


async def test_content_may_be_a_list_with_thinking_in_it(server: Wire, catalog: ProviderCatalog) -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    play(server, {"content": [thinking]}, {"content": [{"type": "text", "text": "Yes."}, {"type": "reference"}]})
    answer = await ask(catalog, MODEL)
    assert answer.parts == [ReasoningPart(text="Hm."), TextPart(text="Yes.")]


async def test_usage_in_every_chunk_counts_once_and_odd_chunks_are_skipped(
    server: Wire, catalog: ProviderCatalog
) -> None:
    used = {"prompt_tokens": 5, "completion_tokens": 1}
    pieces = data(
        {"id": "x", "object": "news", "surprise": True},
        chunk({"content": "Hi"}, "", usage=used),
        {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
        chunk({"content": ""}, "eos", usage={**used, "completion_tokens": 2}),
    )
    server.play(Answer([b": a comment\n\n", *pieces]))
    answer = await ask(catalog, MODEL)
    assert answer.texts == ["Hi"]
    assert answer.usage == Usage(input_tokens=5, output_tokens=2)
    assert answer.finish_reason == "other"


async def test_text_after_a_call_is_a_part_of_its_own(server: Wire, catalog: ProviderCatalog) -> None:
    play(server, {"content": "One."}, call_piece(0, CITY, "call_a", "get_weather"), {"content": "Two."})
    answer = await ask(catalog, MODEL)
    assert [part.type for part in answer.parts] == ["text", "text", "tool_call"]
    assert [delta.part for delta in answer.deltas if isinstance(delta, PartStarted)] == [0, 1, 2]


async def test_a_refusal_is_a_part_of_the_message(server: Wire, catalog: ProviderCatalog) -> None:
    play(server, {"content": "Well."}, {"refusal": "I will "}, {"refusal": "not."})
    answer = await ask(catalog, MODEL)
    assert answer.parts == [TextPart(text="Well."), TextPart(text="I will not.", refusal=True)]
    assert answer.finish_reason == "refusal"


@pytest.mark.parametrize(("finish", "reason"), [("length", "length"), ("content_filter", "content_filter")])
async def test_length_and_filter_are_outcomes(server: Wire, catalog: ProviderCatalog, finish: str, reason: str) -> None:
    play(server, {"content": "So far"}, finish=finish)
    answer = await ask(catalog, MODEL)
    assert answer.finish_reason == reason
    assert answer.parts == [TextPart(text="So far")]


async def test_a_call_that_the_limit_cut_is_no_wish(server: Wire, catalog: ProviderCatalog) -> None:
    whole, cut = call_piece(0, CITY, "call_a", "get_weather"), call_piece(1, '{"ci', "call_b", "get_weather")
    play(server, whole, cut, finish="length")
    answer = await ask(catalog, MODEL)
    assert answer.parts == [call("call_a")]
    assert answer.open == {1: ['{"ci']}
    assert answer.finish_reason == "length"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(data(chunk({"content": "Half"})), id="a text"),
        pytest.param([*data(chunk(call_piece(0, '{"ci', "call_a", "get_weather"))), DONE], id="a cut call"),
        pytest.param([DONE], id="nothing"),
    ],
)
async def test_what_ends_without_a_finish_reason_is_a_failure(
    server: Wire, catalog: ProviderCatalog, answer: list[bytes]
) -> None:
    server.play(Answer(answer))
    with pytest.raises(ProviderFailure, match="terminal event") as failure:
        await ask(catalog, MODEL)
    assert failure.value.kind == "invalid"


async def test_something_whole_ends_with_done_too(server: Wire, catalog: ProviderCatalog) -> None:
    server.play(Answer([*data(chunk({"content": "Hi"})), DONE]))
    answer = await ask(catalog, MODEL)
    assert (answer.parts, answer.finish_reason) == ([TextPart(text="Hi")], "stop")
    server.play(Answer([*data(chunk(call_piece(0, CITY, "call_a", "get_weather"))), DONE]))
    answer = await ask(catalog, MODEL)
    assert (answer.parts, answer.finish_reason) == ([call("call_a")], "tool_calls")


async def test_an_error_inside_the_stream_is_read_by_its_code(server: Wire, catalog: ProviderCatalog) -> None:
    for code, kind in ((502, "transient"), (400, "fatal"), ("insufficient_quota", "fatal")):
        error = {"error": {"code": code, "message": "upstream"}}
        server.play(Answer([*data(chunk({"content": "Half"}), error)]))
        with pytest.raises(ProviderFailure, match="upstream") as failure:
            await ask(catalog, MODEL)
        assert failure.value.kind == kind
