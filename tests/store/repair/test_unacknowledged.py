"""The end of a run carries the results that were committed before a worker died; so its history has them too."""

import pytest

from longrun.store.attempts import Taker
from longrun.store.repair.unacknowledged import LARGEST
from longrun.workflows.contract.requests import Answer, ModelCall, Verdicts
from longrun.workflows.contract.results import Finished, ModelReply
from longrun.workflows.contract.runs import Cancel, Decision, Outcome
from tests.build import COMPLETED, Stores, at, calls, finish, pause, says, tool_call

CANCELLED = Outcome(status="cancelled", stop_reason="cancelled", cancel=Cancel(by="ann"))


async def called(store: Stores, *call_ids: str) -> tuple[str, ModelReply]:
    """A run whose first message calls a tool."""
    run_id = (await store.accept()).run_id
    return run_id, await store.ask(ModelCall(run_id=run_id, step=1), calls(*call_ids))


async def ended(store: Stores, run_id: str, outcome: Outcome = CANCELLED, acknowledged: int | None = 1) -> Finished:
    """The run's end, written while it believes to be in its first turn."""
    given = finish(run_id, outcome).model_copy(update={"acknowledged": acknowledged})
    finished, _ = await store.runs.finish(given, at(60))
    return finished


@pytest.mark.parametrize("acknowledged", [0, 1, None])
async def test_the_end_tells_of_a_message_that_the_run_does_not_know(store: Stores, acknowledged: int | None) -> None:
    run_id = (await store.accept()).run_id
    reply = await store.ask(ModelCall(run_id=run_id, step=1), says("hm"))
    finished = await ended(store, run_id, acknowledged=acknowledged)
    assert finished.open_steps == ()
    assert finished.unacknowledged == ((reply,) if acknowledged == 0 else ())


async def test_the_end_tells_of_results_and_closes_the_other_calls(store: Stores) -> None:
    run_id, reply = await called(store, "c1", "c2")
    call = tool_call(run_id, 1, reply.message.calls[0])
    attempt = await store.calls.begin(call, None, Taker("w", at(1)))
    done = Answer(call_id="c1", name=call.name, status="cancelled", content="cut")
    outcome = await store.calls.complete(call, done, None, attempt.number, at(2))
    finished = await ended(store, run_id)
    assert finished.unacknowledged == (outcome,)
    assert [closed.call_id for closed in finished.closed] == ["c2"]


async def test_results_that_are_too_large_together_are_left_out(store: Stores) -> None:
    run_id, reply = await called(store, "c1", "c2")
    long = "x" * (LARGEST // 2)
    answers = [Answer(call_id=part.call_id, name=part.name, status="ok", content=long) for part in reply.message.calls]
    first, _ = await store.calls.answer(run_id, answers, at(2))
    assert (await ended(store, run_id)).unacknowledged == (first,)


async def test_the_end_tells_of_a_pause_and_its_verdicts_and_is_that_of_the_turn_they_began(store: Stores) -> None:
    run_id, reply = await called(store, "c1", "c2")
    paused = await store.approvals.pause(pause(run_id, 1, reply.message), at(3))
    answer = Decision(call_id="c1", decision="answer", answer="yes", by="ann", id="d1")
    one = Verdicts.of(paused.pause, decisions=[answer], resume=False)
    other = Verdicts.of(paused.pause, expired=["c2"], resume=True)
    recorded = [await store.approvals.record(verdicts, at(4)) for verdicts in (one, other)]
    finished = await ended(store, run_id)
    assert finished.unacknowledged == (paused, *recorded)
    assert finished.finish.turn == 2
    assert b'"turn":2,' in (await store.lines(run_id))[-2]


async def test_a_run_that_completed_knows_everything(store: Stores) -> None:
    run_id, _ = await called(store)
    assert (await ended(store, run_id, COMPLETED, 0)).unacknowledged == ()
