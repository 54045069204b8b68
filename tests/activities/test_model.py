"""A model call as an activity, without a server: its deltas are in the log while they come, its message comes back."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError
from typing_extensions import override

from longrun.activities.failures import MOST_CHARS, MOST_FAILURES, ProviderFailure
from longrun.activities.providers.provider import Delta, ModelRequest
from longrun.runtime.ids import new_id
from longrun.store.db.sql import run_sql
from longrun.store.log import Append, append
from longrun.store.steps import MOST_LOST
from longrun.workflows.contract.agents import AgentSpec
from longrun.workflows.contract.events import AttemptFailed, Event, ToolProgress
from longrun.workflows.contract.messages import TextPart, Usage
from longrun.workflows.contract.requests import ModelCall
from longrun.workflows.contract.results import ModelReply
from tests.activities.asking import model_activities
from tests.activities.environment import activity_environment
from tests.build import Stores, agent, at, finish, order
from tests.harness import until
from tests.logcheck import parsed, settled_text
from tests.provider_fake import FakeCatalog, FakeProvider, Gate, Turn, call, in_turn, requested, text, turn
from tests.tools import TOOLS

HELLO = turn("Hello there")


class _Lingering(FakeProvider):
    """Keeps its connection for a while after its end."""

    def __init__(self, script: Callable[[ModelRequest], Turn], gate: Gate) -> None:
        super().__init__(script)
        self._gate = gate

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        async for delta in super().stream(request):
            yield delta
        await self._gate.passed()


class Desk:
    """The activity over a store with a run in it, and the model that it asks."""

    def __init__(self, stores: Stores, run_id: str, provider: FakeProvider) -> None:
        self.stores = stores
        self.run_id = run_id
        self.provider = provider
        self.environment = activity_environment()
        catalog = FakeCatalog(provider)
        self._activities = model_activities(catalog, stores, TOOLS)

    async def ask(self, step: int = 1, run_id: str | None = None) -> ModelReply:
        """Run the activity."""
        model_call = ModelCall(run_id=run_id or self.run_id, step=step)
        return await self.environment.run(self._activities.call_model, model_call)

    async def events(self) -> list[Event]:
        """The log as it stands."""
        return parsed(await self.stores.lines(self.run_id))

    async def said(self, expected: str) -> None:
        """Wait until the log says so."""

        async def look() -> bool:
            return settled_text(await self.events()) == expected

        await until(look, expected)


async def desk(
    stores: Stores,
    *turns: Turn | Callable[[ModelRequest], Turn],
    spec: AgentSpec | None = None,
    lingers: Gate | None = None,
) -> Desk:
    """A desk whose model answers these turns, step by step, or what one function says."""
    (first, *_) = turns
    script = in_turn(*(each for each in turns if isinstance(each, Turn))) if isinstance(first, Turn) else first
    run_id = (await stores.accept(order(spec=spec))).run_id
    return Desk(stores, run_id, _Lingering(script, lingers) if lingers else FakeProvider(script))


async def failure(asking: "asyncio.Future[ModelReply] | asyncio.Task[ModelReply]") -> tuple[str | None, bool, str]:
    """How a call failed: its type, whether for good, and what it said."""
    with pytest.raises(ApplicationError) as failed:
        await asking
    return failed.value.type, failed.value.non_retryable, failed.value.message


async def test_what_a_model_says_is_in_the_log_before_it_has_ended(stores: Stores) -> None:
    gate = Gate()
    one = await desk(stores, turn(text("Hello ", gate, "there")))
    asking = asyncio.create_task(one.ask())
    await gate.reached.wait()
    await one.said("Hello ")
    gate.open()
    reply = await asking
    assert (reply.message.text, reply.finish_reason, reply.attempt) == ("Hello there", "stop", 1)
    assert reply.usage == Usage(input_tokens=10, output_tokens=5)
    assert settled_text(await one.events()) == "Hello there"
    assert [message.id for message in await stores.messages_of(one.run_id)][1:] == [reply.message.id]


async def test_a_step_that_has_its_message_returns_it_and_asks_nobody(stores: Stores) -> None:
    one = await desk(stores, turn(call("c1", "look"), "Look there."))
    first = await one.ask()
    before = await one.events()
    assert await one.ask() == first
    assert await one.events() == before
    assert requested(one.provider) == [(1, 1)]


async def test_a_model_is_asked_with_what_the_agent_says_and_the_thread_has_said(stores: Stores) -> None:
    spec = agent(tools=["pay"]).model_copy(update={"system": "Be brief."})
    one = await desk(stores, turn(call("c1", "pay")), HELLO, spec=spec)
    await one.ask(1)
    await one.ask(2)
    first, second = one.provider.requests
    assert (first.model, first.system, [spec.name for spec in first.tools]) == ("echo", "Be brief.", ["pay"])
    assert [message.role for message in first.messages] == ["user"]
    assert [message.role for message in second.messages] == ["user", "assistant", "tool"]
    assert (second.run_id, second.step, second.attempt) == (one.run_id, 2, 1)


async def test_a_reply_tells_the_run_what_it_must_know_of_the_tools_it_calls(stores: Stores) -> None:
    calls = turn(call("c1", "pay", {"amount": 1}), call("c2", "dance"), call("c3", "look"))
    one = await desk(stores, calls, spec=agent(tools=["pay", "look"]))
    plans = (await one.ask()).plans
    assert {call_id: plan.ask for call_id, plan in plans.items()} == {"c1": "pay always asks", "c3": None}


async def test_a_provider_that_repeats_a_call_id_of_the_thread_gets_another(stores: Stores) -> None:
    one = await desk(stores, turn(call("call_1", "look")), turn(call("call_1", "look")))
    (first,) = (await one.ask(1)).message.calls
    (second,) = (await one.ask(2)).message.calls
    assert first.call_id == "call_1"
    assert second.call_id != "call_1"


async def test_a_run_that_the_store_does_not_have_is_tried_again(stores: Stores) -> None:
    one = await desk(stores, HELLO)
    unknown = new_id()
    error = await failure(asyncio.ensure_future(one.ask(run_id=unknown)))
    assert error == ("store_unavailable", False, f"the store has no run {unknown}")


async def test_a_run_that_has_ended_is_refused_for_good(stores: Stores) -> None:
    one = await desk(stores, HELLO)
    await stores.runs.finish(finish(one.run_id), at(1))
    error = await failure(asyncio.ensure_future(one.ask()))
    assert error[:2] == ("fenced", True)
    assert one.provider.requests == []


async def test_an_attempt_that_was_overtaken_writes_no_more_and_keeps_nothing(stores: Stores) -> None:
    gate = Gate()
    one = await desk(stores, turn(text("Hello ", gate, "there")))
    asking = asyncio.create_task(one.ask())
    await gate.reached.wait()
    await one.said("Hello ")
    later = await stores.begin(ModelCall(run_id=one.run_id, step=1), at(1))
    gate.open()
    error = await failure(asking)
    assert error[:2] == ("fenced", False)
    assert later.number == 2
    assert [event.type for event in await one.events()][-1] == "attempt.superseded"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (turn(text("Ha", ProviderFailure("transient", "busy"))), ("llm_api_error", False, "busy")),
        (turn(text("Ha", ProviderFailure("fatal", "no such model"))), ("llm_api_error", True, "no such model")),
        (turn(ProviderFailure("overflow", "too long")), ("context_overflow", True, "too long")),
        (
            Turn((text("Ha"),), ends=False),
            ("invalid_llm_response", False, "the provider's stream ended without an end"),
        ),
    ],
    ids=["transient", "fatal", "overflow", "no end"],
)
async def test_a_failed_call_says_whether_asking_again_can_help(
    stores: Stores, said: Turn, expected: tuple[str, bool, str]
) -> None:
    one = await desk(stores, said)
    assert await failure(asyncio.ensure_future(one.ask())) == expected
    assert not any(event.type == "message.completed" for event in await one.events())


async def test_what_nobody_has_foreseen_fails_in_short_and_not_for_ever(stores: Stores) -> None:
    one = await desk(stores, turn(text("Ha", RuntimeError("odd \0 " + "x" * 5000))))
    for _ in range(MOST_FAILURES - 1):
        assert (await failure(asyncio.ensure_future(one.ask())))[:2] == ("internal_error", False)
    error_type, final, message = await failure(asyncio.ensure_future(one.ask()))
    assert (error_type, final) == ("internal_error", True)
    assert message.startswith("RuntimeError: odd \ufffd xxx")
    assert len(message) == MOST_CHARS


async def test_what_fails_before_the_step_begins_has_an_end_too(stores: Stores) -> None:
    one = await desk(stores, HELLO)
    await stores.database.write(lambda tx: run_sql(tx, """UPDATE runs SET "order" = '{}' WHERE id = ?""", one.run_id))
    assert (await failure(asyncio.ensure_future(one.ask())))[:2] == ("internal_error", False)
    one.environment.info = replace(one.environment.info, attempt=MOST_FAILURES)
    assert (await failure(asyncio.ensure_future(one.ask())))[:2] == ("internal_error", True)


async def test_what_a_failed_attempt_said_is_superseded_by_the_next_one(stores: Stores) -> None:
    gate = Gate()
    broken = turn(text("Hello ", gate, ProviderFailure("invalid", "garbled")))
    one = await desk(stores, lambda request: broken if request.attempt == 1 else HELLO)
    asking = asyncio.create_task(one.ask())
    await one.said("Hello ")
    gate.open()
    await failure(asking)
    reply = await one.ask()
    events = await one.events()
    assert (reply.attempt, [(type(each).__name__, each.attempt) for each in reply.notices]) == (
        2,
        [("Failed", 1), ("Superseded", 1)],
    )
    assert settled_text(events) == "Hello there"
    (failed,) = [event for event in events if isinstance(event, AttemptFailed)]
    assert (failed.attempt, failed.cause.type, failed.cause.message) == (1, "invalid_llm_response", "garbled")
    assert failed.next_at > failed.at


async def test_a_failure_for_good_is_told_by_the_end_of_the_run_alone(stores: Stores) -> None:
    one = await desk(stores, turn(text("Ha", ProviderFailure("fatal", "no such model"))))
    await failure(asyncio.ensure_future(one.ask()))
    assert not any(isinstance(event, AttemptFailed) for event in await one.events())


async def test_an_attempt_that_was_overtaken_does_not_say_that_it_failed(stores: Stores) -> None:
    gate = Gate()
    one = await desk(stores, turn(text("Hello ", gate, ProviderFailure("invalid", "garbled"))))
    asking = asyncio.create_task(one.ask())
    await gate.reached.wait()
    await stores.begin(ModelCall(run_id=one.run_id, step=1), at(1))
    gate.open()
    assert (await failure(asking))[0] == "fenced"
    assert not any(isinstance(event, AttemptFailed) for event in await one.events())


async def test_an_answer_that_does_not_end_in_time_counts_as_a_failure(stores: Stores) -> None:
    one = await desk(stores, turn(text("Hello ", Gate())))
    one.environment.info = replace(one.environment.info, start_to_close_timeout=timedelta(milliseconds=100))
    error = await failure(asyncio.ensure_future(one.ask()))
    assert error == ("llm_api_error", False, "scripted/echo: no end of the answer after 0:00:00.100000")


async def test_a_step_over_which_too_many_workers_die_fails(stores: Stores) -> None:
    one = await desk(stores, HELLO)
    for number in range(MOST_LOST):
        assert (await stores.begin(ModelCall(run_id=one.run_id, step=1), at(number))).number == number + 1
    error = await failure(asyncio.ensure_future(one.ask()))
    assert error[:2] == ("workers_lost", True)
    assert f"{MOST_LOST} workers were lost" in error[2]
    assert one.provider.requests == []


async def test_a_cancel_by_the_run_keeps_what_was_said(stores: Stores) -> None:
    gate = Gate()
    one = await desk(stores, turn(text("Hello ", gate, "there")))
    asking = asyncio.create_task(one.ask())
    await gate.reached.wait()
    one.environment.cancel(ActivityCancellationDetails(cancel_requested=True))
    reply = await asking
    assert reply.finish_reason == "cancelled"
    assert reply.message.parts == (TextPart(text="Hello ", cut=True),)
    assert settled_text(await one.events()) == "Hello "


async def test_a_cancel_that_comes_after_the_models_end_changes_nothing(stores: Stores) -> None:
    gate = Gate()
    one = await desk(stores, HELLO, lingers=gate)
    asking = asyncio.create_task(one.ask())
    await gate.reached.wait()
    one.environment.cancel(ActivityCancellationDetails(cancel_requested=True))
    assert (await asking).finish_reason == "stop"


@pytest.mark.parametrize(
    "details",
    [ActivityCancellationDetails(worker_shutdown=True), ActivityCancellationDetails(timed_out=True)],
    ids=["shutdown", "timeout"],
)
async def test_a_cancel_that_the_run_did_not_want_leaves_the_step_to_the_next_attempt(
    stores: Stores, details: ActivityCancellationDetails
) -> None:
    gate = Gate()
    one = await desk(stores, turn(text("Hello ", gate, "there")))
    asking = asyncio.create_task(one.ask())
    await gate.reached.wait()
    await one.said("Hello ")
    one.environment.cancel(details)
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert [event.type for event in await one.events()][-1] == "text.delta"
    assert (await stores.begin(ModelCall(run_id=one.run_id, step=1), at(1))).number == 2


async def test_a_reply_names_every_stretch_of_the_log_that_is_its_own(stores: Stores) -> None:
    gate = Gate()
    one = await desk(stores, turn(text("Hello ", gate, "there")))
    asking = asyncio.create_task(one.ask())
    await gate.reached.wait()
    await one.said("Hello ")
    between = ToolProgress(run_id=one.run_id, at=at(1), call_id="between")
    await stores.database.write(lambda tx: append(tx, Append(one.run_id, "between", [between])))
    gate.open()
    spans = (await asking).spans
    events = {event.seq: event.type for event in await one.events()}
    assert len(spans) == 2
    theirs = [events[seq] for span in spans for seq in range(span.first, span.last + 1)]
    assert theirs == ["text.delta", "text.delta", "text.completed", "message.completed"]
