"""The counting provider, as OpenAI's own SDK and our adapters see it."""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any, Literal

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI, AsyncStream
from openai.types.responses import ResponseStreamEvent

from tests.chaos.generating.plan import plan_text
from tests.chaos.providing import CountingProvider, providing

Event = ResponseStreamEvent
USUAL = {"refuse_streams_older_than": None, "forget": False, "rate": None}
STRIKE = {"name": "strike", "arguments": {"target": "iron", "times": 3}}
EVERYTHING = {"reasoning": 3, "text": 5, "calls": [STRIKE, {**STRIKE, "id": "mine"}]}
PIECES = 4
TOKENS = 3 + 5 + 2 * PIECES


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def process() -> AsyncIterator[CountingProvider]:
    async with providing() as running:
        yield running
    assert running.process.returncode is not None


@pytest_asyncio.fixture
async def provider(process: CountingProvider) -> AsyncIterator[CountingProvider]:
    yield process
    await process.control(**USUAL)


@pytest_asyncio.fixture
async def sdk(provider: CountingProvider) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="sk-test", base_url=provider.url, max_retries=0) as client:
        yield client


def plan(label: str, *turns: dict[str, Any], rate: float = 0) -> str:
    return plan_text(label, *(turns or [EVERYTHING]), rate=rate)


async def created(
    sdk: AsyncOpenAI,
    text: str,
    **more: Any,  # noqa: ANN401 - the SDK's own options
) -> AsyncStream[Event]:
    return await sdk.responses.create(model="gpt-test", input=text, stream=True, **more)


async def background(sdk: AsyncOpenAI, text: str) -> AsyncStream[Event]:
    return await created(sdk, text, background=True, store=True)


async def resume(sdk: AsyncOpenAI, response_id: str, after: int | None = None) -> list[Event]:
    if after is None:
        stream = await sdk.responses.retrieve(response_id, stream=True)
    else:
        stream = await sdk.responses.retrieve(response_id, stream=True, starting_after=after)
    return [event async for event in stream]


async def until_delta(stream: AsyncStream[Event], count: int) -> list[Event]:
    """Read so many deltas, and what came before them."""
    seen: list[Event] = []
    async for event in stream:
        seen.append(event)
        if sum(each.type.endswith(".delta") for each in seen) == count:
            break
    return seen


def texts(events: Iterable[Event], kind: str) -> list[str]:
    return [event.to_dict()["delta"] for event in events if event.type == f"response.{kind}.delta"]  # pyright: ignore[reportReturnType] - a delta of text


def id_of(events: list[Event]) -> str:
    first = events[0]
    assert first.type == "response.created"
    return first.response.id


async def test_a_plan_is_answered_with_every_event_of_the_responses_wire(
    provider: CountingProvider, sdk: AsyncOpenAI
) -> None:
    stream = await created(sdk, plan("whole"), include=["reasoning.encrypted_content"])
    events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = list(dict.fromkeys(event.type.removeprefix("response.") for event in events))
    assert kinds == [
        *("created", "in_progress", "output_item.added"),
        *("reasoning_summary_part.added", "reasoning_summary_text.delta", "reasoning_summary_text.done"),
        *("reasoning_summary_part.done", "output_item.done"),
        *("content_part.added", "output_text.delta", "output_text.done", "content_part.done"),
        *("function_call_arguments.delta", "function_call_arguments.done", "completed"),
    ]
    assert texts(events, "output_text") == ["t0w0 ", "t0w1 ", "t0w2 ", "t0w3 ", "t0w4 "]
    assert texts(events, "reasoning_summary_text") == ["t0r0 ", "t0r1 ", "t0r2 "]
    assert len(texts(events, "function_call_arguments")) == 2 * PIECES
    last = events[-1]
    assert last.type == "response.completed"
    thinking, message, first, second = last.response.output
    assert thinking.type == "reasoning"
    assert thinking.encrypted_content
    assert message.type == "message"
    assert (first.type, second.type) == ("function_call", "function_call")
    assert first.type == "function_call"
    assert (first.call_id, json.loads(first.arguments)) == ("call_0_0", STRIKE["arguments"])
    assert [event.item for event in events if event.type == "response.output_item.done"] == last.response.output
    (entry,) = await provider.bill("whole")
    usage = last.response.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (entry["tokens_in"], entry["tokens_out"])
    assert (usage.output_tokens, usage.output_tokens_details.reasoning_tokens) == (TOKENS, 3)
    assert {**entry, "tokens_in": 0, "id": ""} == {
        "id": "",
        "wire": "responses",
        "background": False,
        "label": "whole",
        "turn": 0,
        "tokens_in": 0,
        "tokens_out": TOKENS,
        "status": "completed",
        "streams": 1,
        "polls": 0,
        "held": False,
        "violations": [],
    }


async def test_reasoning_is_encrypted_only_for_who_asks_for_it(sdk: AsyncOpenAI) -> None:
    events = [event async for event in await created(sdk, plan("plain reasoning"))]
    done = next(event.item for event in events if event.type == "response.output_item.done")
    assert done.type == "reasoning"
    assert done.encrypted_content is None


async def test_a_plan_is_answered_in_chat_completions(provider: CountingProvider, sdk: AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(
        model="gpt-test",
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": plan("chat")}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "t0w0 t0w1 t0w2 t0w3 t0w4 "
    calls = [call for delta in deltas for call in delta.tool_calls or ()]
    assert [call.id for call in calls if call.id] == ["call_0_0", "mine"]
    mine = "".join(call.function.arguments or "" for call in calls if call.index == 1 and call.function)
    assert json.loads(mine) == STRIKE["arguments"]
    assert chunks[-2].choices[0].finish_reason == "tool_calls"
    usage = chunks[-1].usage
    (entry,) = await provider.bill("chat")
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (entry["tokens_in"], entry["tokens_out"])
    assert (entry["tokens_out"], entry["status"]) == (TOKENS, "completed")


async def test_usage_comes_in_chat_completions_only_if_asked_for(sdk: AsyncOpenAI) -> None:
    said: Any = [{"role": "user", "content": [{"type": "text", "text": plan("no usage", {"text": 1})}]}]
    stream = await sdk.chat.completions.create(model="gpt-test", messages=said, stream=True)
    chunks = [chunk async for chunk in stream]
    assert [chunk.usage for chunk in chunks] == [None] * 3
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_a_background_stream_can_be_resumed_from_every_number(
    provider: CountingProvider, sdk: AsyncOpenAI
) -> None:
    whole = [event async for event in await background(sdk, plan("resume"))]
    assert [event.type for event in whole[:3]] == ["response.created", "response.queued", "response.in_progress"]
    for after in (None, *range(len(whole))):
        assert await resume(sdk, id_of(whole), after) == whole[0 if after is None else after + 1 :]
    (entry,) = await provider.bill("resume")
    assert (entry["streams"], entry["tokens_out"]) == (len(whole) + 2, TOKENS)


async def test_a_background_job_goes_on_when_its_reader_has_left(provider: CountingProvider, sdk: AsyncOpenAI) -> None:
    await provider.hold("left", 0, 6)
    stream = await background(sdk, plan("left"))
    seen = await until_delta(stream, 4)
    await stream.close()
    await provider.held("left")
    resumed = await sdk.responses.retrieve(id_of(seen), stream=True, starting_after=seen[-1].sequence_number)
    seen += await until_delta(resumed, 2)
    assert len([event for event in seen if event.type.endswith(".delta")]) == 6
    await resumed.close()
    await provider.release("left")
    (entry,) = await provider.billed("left", lambda found: found[0]["status"] == "completed")
    assert (entry["tokens_out"], entry["streams"]) == (TOKENS, 2)
    seen += await resume(sdk, id_of(seen), seen[-1].sequence_number)
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert seen == await resume(sdk, id_of(seen))


async def test_the_whole_object_says_how_far_a_job_is(provider: CountingProvider, sdk: AsyncOpenAI) -> None:
    await provider.hold("polled", 0, TOKENS)
    seen = await until_delta(await background(sdk, plan("polled")), TOKENS)
    going = await sdk.responses.retrieve(id_of(seen))
    assert (going.status, going.output, going.usage) == ("in_progress", [], None)
    await provider.release("polled")
    await provider.billed("polled", lambda found: found[0]["status"] == "completed")
    whole = await sdk.responses.retrieve(id_of(seen))
    assert (whole.status, whole.output_text) == ("completed", "t0w0 t0w1 t0w2 t0w3 t0w4 ")
    assert whole.usage is not None
    (entry,) = await provider.bill("polled")
    assert (entry["polls"], entry["tokens_out"]) == (2, whole.usage.output_tokens)


async def test_a_job_is_queued_until_its_first_token_is_due_and_can_be_cancelled_twice(
    provider: CountingProvider, sdk: AsyncOpenAI
) -> None:
    stream = await background(sdk, plan("cancelled", {"text": 1, "first_token": 3600}))
    first = await anext(stream)
    assert first.type == "response.created"
    own_id = first.response.id
    assert (await sdk.responses.retrieve(own_id)).status == "queued"
    for _ in range(2):
        assert (await sdk.responses.cancel(own_id)).status == "cancelled"
    assert [event.type async for event in stream] == ["response.queued"]
    assert [event.type for event in await resume(sdk, own_id, 0)] == ["response.queued"]
    (entry,) = await provider.bill("cancelled")
    assert (entry["status"], entry["tokens_out"]) == ("cancelled", 0)


async def test_a_cancel_comes_too_late_for_a_complete_answer(sdk: AsyncOpenAI) -> None:
    whole = [event async for event in await background(sdk, plan("too late"))]
    assert (await sdk.responses.cancel(id_of(whole))).status == "completed"


@pytest.mark.parametrize("wire", ["responses", "chat"])
async def test_a_plain_call_ends_with_its_connection_and_bills_what_was_generated(
    provider: CountingProvider, sdk: AsyncOpenAI, wire: Literal["responses", "chat"]
) -> None:
    label = f"abandoned {wire}"
    await provider.hold(label, 0, 3)
    if wire == "responses":
        stream = await created(sdk, plan(label))
    else:
        said: Any = [{"role": "user", "content": plan(label)}]
        stream = await sdk.chat.completions.create(model="gpt-test", messages=said, stream=True)
    await provider.held(label)
    await stream.close()
    (entry,) = await provider.billed(label, lambda found: found[0]["status"] == "abandoned")
    assert (entry["tokens_out"], entry["held"], entry["wire"]) == (3, False, wire)
    await provider.release(label)


async def test_an_old_stream_is_refused_though_the_job_lives(provider: CountingProvider, sdk: AsyncOpenAI) -> None:
    whole = [event async for event in await background(sdk, plan("old"))]
    await provider.control(refuse_streams_older_than=0)
    with pytest.raises(openai.BadRequestError, match="more than 5 minutes old"):
        await resume(sdk, id_of(whole), 3)
    assert (await sdk.responses.retrieve(id_of(whole))).status == "completed"
    await provider.control(refuse_streams_older_than=3600)
    assert await resume(sdk, id_of(whole), 3) == whole[4:]


async def test_a_forgotten_job_is_not_found(provider: CountingProvider, sdk: AsyncOpenAI) -> None:
    whole = [event async for event in await background(sdk, plan("forgotten"))]
    await provider.control(forget=True)
    for ask_again in (
        sdk.responses.retrieve(id_of(whole)),
        resume(sdk, id_of(whole)),
        sdk.responses.cancel("nobody's"),
    ):
        with pytest.raises(openai.NotFoundError):
            await ask_again


async def test_what_was_not_stored_is_not_found(sdk: AsyncOpenAI) -> None:
    whole = [event async for event in await created(sdk, plan("unstored"), store=False)]
    with pytest.raises(openai.NotFoundError):
        await sdk.responses.retrieve(id_of(whole))


async def test_a_plain_call_can_be_neither_streamed_again_nor_cancelled(sdk: AsyncOpenAI) -> None:
    whole = [event async for event in await created(sdk, plan("foreground"))]
    with pytest.raises(openai.BadRequestError, match="background=true"):
        await resume(sdk, id_of(whole))
    with pytest.raises(openai.BadRequestError, match="background=true"):
        await sdk.responses.cancel(id_of(whole))


async def test_a_call_can_be_held_before_anybody_knows_its_id(provider: CountingProvider, sdk: AsyncOpenAI) -> None:
    await provider.hold("unknown", 0, -1)
    stream = await background(sdk, plan("unknown"))
    await provider.held("unknown")
    await provider.release("unknown")
    assert (await anext(stream)).type == "response.created"
    await stream.close()


async def test_a_hold_meets_every_call_that_comes_to_its_place(provider: CountingProvider, sdk: AsyncOpenAI) -> None:
    await provider.control(rate=1000)
    await provider.hold("held", 0, 2)
    first, second = [await background(sdk, plan("held", rate=0.001)) for _ in range(2)]
    await provider.billed("held", lambda found: [entry["held"] for entry in found] == [True, True])
    assert [entry["tokens_out"] for entry in await provider.bill("held")] == [2, 2]
    await provider.release("held")
    ends = [[event async for event in stream][-1].type for stream in (first, second)]
    assert ends == ["response.completed"] * 2


async def refused(
    sdk: AsyncOpenAI,
    pattern: str,
    content: object,
    **more: object,
) -> None:
    body: dict[str, Any] = {"model": "gpt-test", "input": content, "stream": True, **more}
    with pytest.raises(openai.BadRequestError, match=pattern):
        await sdk.responses.create(**body)


async def test_a_broken_pairing_is_refused_and_counted(sdk: AsyncOpenAI) -> None:
    async with providing() as provider:
        own = sdk.with_options(base_url=provider.url)
        async for _ in await created(own, plan("broken")):
            pass
        orphan = {"type": "function_call_output", "call_id": "nobody", "output": "?"}
        await refused(own, "a result without its function_call", [{"role": "user", "content": plan("broken")}, orphan])
        (violation,) = await provider.violations()
        (entry,) = await provider.bill("broken")
        assert (violation["label"], violation["wire"]) == ("broken", "responses")
        assert entry["violations"] == [violation["rule"]]


async def test_what_the_provider_cannot_do_is_refused(provider: CountingProvider, sdk: AsyncOpenAI) -> None:
    await refused(sdk, "no user message is a plan", "hello")
    await refused(sdk, "'stream' must be true", plan("refused"), stream=False)
    await refused(sdk, "requires 'store'", plan("refused"), background=True, store=False)
    assert await provider.bill("refused") == []
    with pytest.raises(AssertionError, match="nonsense"):
        await provider.control(nonsense=1)
