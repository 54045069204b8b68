"""What a model of the Responses API sees of what was said before: by itself, by another model, cut by a cancel."""

from longrun.activities.providers.catalog import ProviderCatalog
from longrun.workflows.contract.messages import Message, Opaque, OpaquePart, ReasoningPart, TextPart, ToolCallPart
from tests.activities.providers.asking import WEATHER, ask, play_responses, request, result, results, user
from tests.wire import Wire
from tests.wire_answers import call_item, message_item, reasoning_item

MODEL = "openai/gpt-test"
WEB_SEARCH: Opaque = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "x"},
}


async def test_reasoning_and_parallel_calls_go_back_unchanged_to_the_model_that_wrote_them(
    server: Wire, catalog: ProviderCatalog
) -> None:
    reasoning = reasoning_item("First this.", "Then that.")
    calls = [call_item("call_a", "get_weather", '{"city": "Oslo"}'), call_item("call_b", "get_weather", "")]
    play_responses(server, reasoning, message_item("Let me look."), *calls)
    answer = await ask(catalog, MODEL, request(user("Weather?"), tools=[WEATHER]))
    assert answer.finish_reason == "tool_calls"
    thinking, text, oslo, nothing = answer.parts
    assert isinstance(thinking, ReasoningPart)
    assert thinking.text == "First this.\n\nThen that."
    assert isinstance(text, TextPart)
    assert isinstance(oslo, ToolCallPart)
    assert isinstance(nothing, ToolCallPart)
    assert (oslo.call_id, oslo.name, oslo.arguments) == ("call_a", "get_weather", '{"city": "Oslo"}')
    assert nothing.arguments == "{}"

    play_responses(server, message_item("Fine."))
    history = (user("Weather?"), answer.message(MODEL), results(result(oslo), result(nothing, "unknown")))
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
    play_responses(server, reasoning_item("Hm."), message_item("Look."), call_item("call_a", "get_weather", "not json"))
    answer = await ask(catalog, MODEL)
    (call,) = answer.message(MODEL).calls
    play_responses(server, message_item("ok"))
    cut = Message(
        id="c",
        role="assistant",
        parts=(
            TextPart(text=""),
            ToolCallPart(call_id="x", name="y", arguments="{", cut=True),
        ),
    )
    system = Message(id="s", role="system", parts=(TextPart(text="Note."),))
    history = (user("Weather?"), answer.message(MODEL), results(result(call)), cut, system, user("So?"))
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
    play_responses(server, hidden, WEB_SEARCH, message_item("Found."))
    answer = await ask(catalog, MODEL)
    assert answer.parts[:2] == [OpaquePart(opaque=hidden), OpaquePart(opaque=WEB_SEARCH)]
    assert answer.texts == ["Found."]
    play_responses(server, message_item("ok"))
    server.requests.clear()
    text_only = (answer.parts[0], answer.parts[2])
    await ask(
        catalog,
        MODEL,
        request(user("a"), Message(id="a", role="assistant", parts=text_only, provider=MODEL), user("b")),
    )
    assert server.requests[0].body["input"][1:3] == [hidden, message_item("Found.")]


async def test_reasoning_whose_answer_a_cancel_cut_is_omitted(server: Wire, catalog: ProviderCatalog) -> None:
    thinking = ReasoningPart(text="Hm.", opaque={**reasoning_item("Hm.")})
    cut_text = Message(id="1", role="assistant", parts=(thinking, TextPart(text="It is", cut=True)), provider=MODEL)
    cut_call = Message(
        id="2",
        role="assistant",
        parts=(thinking, ToolCallPart(call_id="c", name="n", arguments="{", cut=True)),
        provider=MODEL,
    )
    cut_thought = Message(id="3", role="assistant", parts=(ReasoningPart(text="H", cut=True),), provider=MODEL)
    play_responses(server, message_item("ok"))
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
    play_responses(server, reasoning_item("Hm.", encrypted=None), message_item("Yes."))
    answer = await ask(catalog, MODEL)
    assert answer.parts[0] == ReasoningPart(text="Hm.")
    play_responses(server, message_item("ok"))
    await ask(catalog, MODEL, request(user("a"), answer.message(MODEL), user("b")))
    assert server.requests[1].body["input"][1] == {"role": "assistant", "content": "Yes."}
