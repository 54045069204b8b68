"""What the store takes back when a run is reset."""

from dataclasses import replace

import pytest

from longrun.store.attempts import Taker
from longrun.store.db.tables import RunRow
from longrun.store.log import FencedError
from longrun.store.outbox import Outbox, Signal
from longrun.store.repair.rewind import IdleExecution, Origin, rewind_idle
from longrun.workflows.contract.events import Event, RunResumed
from longrun.workflows.contract.messages import Message, Usage
from longrun.workflows.contract.requests import Answer, ModelCall, Verdicts
from longrun.workflows.contract.results import ModelReply
from longrun.workflows.contract.runs import Decision, RunOrder
from tests.build import Stores, at, calls, failed, finish, pause, says, tool_call
from tests.logcheck import check_settled, parsed


async def complete_step(store: Stores, run_id: str, step: int, message: Message, execution: str = "one") -> ModelReply:
    """A whole step that comes from an execution."""
    call = ModelCall(run_id=run_id, step=step)
    by, origin = Taker("worker-1", at(step)), Origin(run_id, execution, step - 1)
    attempt = await store.steps.begin(call, "scripted/echo", by, origin)
    return await store.stream(call, attempt, message, at(step))


async def answered(store: Stores, run_id: str, step: int, message: Message) -> None:
    """The calls of a step run."""
    for part in message.calls:
        call = tool_call(run_id, step, part)
        attempt = await store.calls.begin(call, None, Taker("worker-1", at(step)))
        answer = Answer(call_id=part.call_id, name=part.name, status="ok", content="done")
        await store.calls.complete(call, answer, None, attempt.number, at(step))


async def types(store: Stores, run_id: str, *, settled: bool = True) -> list[str]:
    """What is in the log."""
    return [event.type for event in parsed(await store.lines(run_id, settled=settled))]


async def last(store: Stores, run_id: str) -> Event:
    """The last event."""
    return parsed(await store.lines(run_id))[-1]


async def row_of(store: Stores, run_id: str) -> RunRow:
    """The run's row."""
    row = await store.runs.get(run_id)
    assert row is not None
    return row


async def stepped(store: Stores) -> RunOrder:
    """A run that has called a tool in step 1 and talks in step 2."""
    run, message = await store.accept(), calls("c1")
    await complete_step(store, run.run_id, 1, message)
    await answered(store, run.run_id, 1, message)
    await complete_step(store, run.run_id, 2, says("two"))
    return run


async def idle_of(store: Stores, run_id: str, first: int, execution: str = "two") -> IdleExecution:
    """An execution that waits, in whose history nothing is from a seq on."""
    return IdleExecution(run_id, execution, first, await store.log.head(run_id) or 0)


async def come_to_idle_of(store: Stores, idle: IdleExecution) -> bool:
    """Take back what does not stand."""
    return await store.database.write(lambda tx: rewind_idle(tx, idle, at(8)))


async def test_a_continued_run_takes_nothing_back(store: Stores) -> None:
    run = await stepped(store)
    await complete_step(store, run.run_id, 3, says("three"), "two")
    assert "run.resumed" not in await types(store, run.run_id)
    assert (await row_of(store, run.run_id)).executions == "one two"


async def test_a_step_that_comes_from_another_link_takes_back_what_is_there_of_it(store: Stores) -> None:
    run = await stepped(store)
    before = await store.lines(run.run_id)
    reply = await complete_step(store, run.run_id, 2, says("another"), "two")
    resumed = parsed(await store.lines(run.run_id))[len(before)]
    assert isinstance(resumed, RunResumed)
    assert resumed.last == len(before)
    assert (reply.attempt, reply.opened.attempt) == (2, 2)
    assert reply.opened.rewinds[0].stamp.first == resumed.seq
    assert [entry.outcome for entry in reply.attempts] == ["reset", "completed"]
    assert [message.text for message in await store.messages_of(run.run_id)][-1] == "another"
    await store.runs.finish(finish(run.run_id), at(9))
    check_settled(parsed(await store.lines(run.run_id, settled=True)))


async def test_an_execution_that_was_reset_is_refused(store: Stores) -> None:
    run = await stepped(store)
    await complete_step(store, run.run_id, 2, says("another"), "two")
    with pytest.raises(FencedError):
        await store.runs.admit(Origin(run.run_id, "one", 2), at(9))
    with pytest.raises(FencedError):
        await complete_step(store, run.run_id, 3, says("too late"), "one")
    await store.runs.admit(Origin(run.run_id, "two", 2), at(9))
    await store.runs.admit(Origin("nobody", "two", 2), at(9))


async def test_an_answer_under_way_is_taken_back_with_its_cost_and_cannot_be_written_any_more(store: Stores) -> None:
    run = await stepped(store)
    call = ModelCall(run_id=run.run_id, step=3)
    attempt = await store.begin(call)
    await store.babble(call, attempt, ["twelve chars"])
    await complete_step(store, run.run_id, 2, says("another"), "two")
    with pytest.raises(FencedError):
        await store.babble(call, attempt, ["more"])
    again = await complete_step(store, run.run_id, 3, says("three"), "two")
    lost, _ = again.attempts
    assert (lost.outcome, lost.tokens_out, lost.estimated) == ("reset", 3, True)


async def test_what_a_tool_of_a_message_that_stands_has_done_stands(store: Stores) -> None:
    run = await stepped(store)
    await store.runs.finish(finish(run.run_id), at(5))
    await store.runs.admit(Origin(run.run_id, "two", 1), at(6))
    (part,) = calls("c1").calls
    attempt = await store.calls.begin(tool_call(run.run_id, 1, part), None, Taker("worker-2", at(7)))
    assert attempt.outcome
    assert attempt.outcome.content == "done"
    row = await row_of(store, run.run_id)
    assert (row.status, row.step, row.error, row.output, row.ended_at) == ("running", 1, None, None, None)
    assert (await types(store, run.run_id))[-2:] == ["tool.completed", "run.resumed"]


async def test_an_end_that_is_taken_back_opens_the_calls_that_it_had_closed(store: Stores) -> None:
    run, message = await store.accept(), calls("c1", "c2")
    await complete_step(store, run.run_id, 1, message)
    one, two = (tool_call(run.run_id, 1, part) for part in message.calls)
    await store.calls.begin(one, None, Taker("worker-1", at(2)))
    await store.runs.finish(finish(run.run_id), at(3))
    await store.runs.admit(Origin(run.run_id, "two", 1), at(4))
    halted = await store.calls.begin(one, None, Taker("worker-2", at(5)), repeats=False)
    attempt = await store.calls.begin(two, None, Taker("worker-2", at(5)), repeats=False)
    assert (halted.halted, halted.number) == ("interrupted", 2)
    assert (attempt.halted, attempt.interrupted, attempt.number) == (None, False, 1)
    assert [message.role for message in await store.messages_of(run.run_id)] == ["user", "assistant"]


async def test_a_pause_that_stands_waits_again_when_the_end_is_taken_back(store: Stores) -> None:
    run, message = await store.accept(), calls("c1")
    await complete_step(store, run.run_id, 1, message)
    asks = pause(run.run_id, 1, message)
    paused = await store.approvals.pause(asks, at(2))
    await store.runs.finish(finish(run.run_id), at(3))
    await store.runs.admit(Origin(run.run_id, "two", 1), at(4))
    row = await row_of(store, run.run_id)
    assert (row.status, row.turn) == ("waiting", 1)
    assert await store.runs.usages([run.run_id]) == {run.run_id: Usage(input_tokens=10, output_tokens=4)}
    assert await store.approvals.pause(asks, at(5)) == paused
    assert [approval.status for approval in await store.approvals.find(run_id=run.run_id)] == ["pending"]
    resumed = await last(store, run.run_id)
    assert isinstance(resumed, RunResumed)
    assert (resumed.turn, resumed.turn_id) == (1, run.run_id)
    decision = Decision(call_id="c1", decision="approve", by="ann")
    await store.approvals.record(Verdicts.of(asks, decisions=[decision], resume=True), at(6))
    assert (await row_of(store, run.run_id)).turn == 2


async def test_a_run_that_is_idle_takes_back_decisions_but_never_runs_a_call_as_if_it_had_not_run(
    store: Stores,
) -> None:
    run, message = await store.accept(), calls("c1")
    await complete_step(store, run.run_id, 1, message)
    asks = pause(run.run_id, 1, message)
    paused = await store.approvals.pause(asks, at(2))
    decision = Decision(call_id="c1", decision="approve", by="ann")
    await store.approvals.record(Verdicts.of(asks, decisions=[decision], resume=True), at(3))
    await answered(store, run.run_id, 1, message)
    idle = await idle_of(store, run.run_id, paused.stamp.first + 3)
    assert await come_to_idle_of(store, idle)
    assert not await come_to_idle_of(store, idle)
    assert await come_to_idle_of(store, await idle_of(store, run.run_id, 1_000))
    row = await row_of(store, run.run_id)
    assert (row.status, row.turn) == ("waiting", 1)
    (approval,) = await store.approvals.find(run_id=run.run_id)
    assert (approval.status, approval.decision) == ("pending", None)
    assert (await types(store, run.run_id))[-2:] == ["run.waiting", "run.resumed"]
    (part,) = message.calls
    attempt = await store.calls.begin(tool_call(run.run_id, 1, part), None, Taker("worker-2", at(5)), repeats=False)
    assert attempt.halted == "interrupted"


async def test_a_run_that_is_idle_where_all_stands_is_left_as_it_is(store: Stores) -> None:
    run = await stepped(store)
    lines = await store.lines(run.run_id)
    assert await come_to_idle_of(store, await idle_of(store, run.run_id, len(lines) + 1))
    assert await store.lines(run.run_id) == lines


async def test_questions_of_steps_that_are_taken_back_are_gone(store: Stores) -> None:
    run, first, second = await store.accept(), calls("c1"), calls("c2")
    await complete_step(store, run.run_id, 1, first)
    asks = pause(run.run_id, 1, first)
    await store.approvals.pause(asks, at(2))
    decision = Decision(call_id="c1", decision="approve", by="ann")
    await store.approvals.record(Verdicts.of(asks, decisions=[decision], resume=True), at(3))
    await answered(store, run.run_id, 1, first)
    await complete_step(store, run.run_id, 2, second)
    await store.approvals.pause(pause(run.run_id, 2, second, turn=2), at(4))
    await complete_step(store, run.run_id, 2, says("no call"), "two")
    row = await row_of(store, run.run_id)
    assert (row.status, row.turn) == ("running", 2)
    assert await store.runs.usages([run.run_id]) == {run.run_id: Usage(input_tokens=20, output_tokens=8)}
    assert [approval.call_id for approval in await store.approvals.find(run_id=run.run_id)] == ["c1"]


async def test_a_question_at_a_rewind_that_is_before_it_is_gone(store: Stores) -> None:
    run, message = await store.accept(), calls("c1")
    reply = await complete_step(store, run.run_id, 1, message)
    await store.approvals.pause(pause(run.run_id, 1, message), at(2))
    assert await come_to_idle_of(store, await idle_of(store, run.run_id, reply.spans[-1].last + 1))
    assert not await store.approvals.find(run_id=run.run_id)
    assert (await row_of(store, run.run_id)).status == "running"


async def test_a_segment_that_reaches_over_the_place_is_cut_there(store: Stores) -> None:
    run = await stepped(store)
    lines = await store.lines(run.run_id)
    events = [event.model_copy(update={"seq": 0}) for event in parsed(lines[:1])]
    attempt = await store.begin(ModelCall(run_id=run.run_id, step=3))
    span = await store.steps.append(attempt, 0, [*events, *events, *events])
    assert await come_to_idle_of(store, await idle_of(store, run.run_id, span.first + 1))
    settled = parsed(await store.lines(run.run_id, settled=True))
    assert [event.seq for event in settled] == [*range(1, span.first + 1), span.last + 1]
    assert [event.seq for event in parsed(await store.lines(run.run_id))] == list(range(1, span.last + 2))


async def test_a_run_that_begins_anew_counts_from_its_first_step(store: Stores) -> None:
    run = await stepped(store)
    await store.runs.admit(Origin(run.run_id, "two", 0), at(5))
    row = await row_of(store, run.run_id)
    assert (row.status, row.step) == ("queued", 0)
    attempt = await store.begin(ModelCall(run_id=run.run_id, step=1), at(6))
    assert (attempt.number, attempt.taken) == (2, {"c1"})
    row = await row_of(store, run.run_id)
    assert (row.status, row.step) == ("running", 1)


async def test_an_execution_that_was_reset_is_not_idle(store: Stores) -> None:
    run = await stepped(store)
    await complete_step(store, run.run_id, 2, says("another"), "two")
    with pytest.raises(FencedError):
        await come_to_idle_of(store, await idle_of(store, run.run_id, 2, "one"))


async def test_a_decision_that_is_taken_back_can_be_made_again_and_the_run_be_cancelled_again(store: Stores) -> None:
    signals = Outbox(store.database)
    run, message = await store.accept(), calls("c1")
    await complete_step(store, run.run_id, 1, message)
    await store.approvals.pause(pause(run.run_id, 1, message), at(2))
    keys = {"decide": f"decide:{run.run_id}:c1", "cancel": f"cancel:{run.run_id}"}
    given = [Signal(run.run_id, keys["decide"], "decide", "1"), Signal(run.run_id, keys["cancel"], "cancel", "1")]
    for signal in given:
        await signals.accept(signal, at(3))
        await signals.delivered(signal.key, at(3))
    await store.runs.finish(finish(run.run_id), at(4))
    again = [replace(signal, body="2") for signal in given]
    assert [(await signals.accept(signal, at(5))).body for signal in again] == ["1", "1"]
    await store.runs.admit(Origin(run.run_id, "two", 1), at(5))
    assert [(await signals.accept(signal, at(6))).body for signal in again] == ["2", "2"]


async def test_an_end_in_an_earlier_turn_takes_back_the_decisions_that_it_does_not_know(store: Stores) -> None:
    run, message = await store.accept(), calls("c1", "c2")
    await complete_step(store, run.run_id, 1, message)
    asks = pause(run.run_id, 1, message)
    await store.approvals.pause(asks, at(2))
    one, two = (Decision(call_id=call_id, decision="approve", by="ann") for call_id in ("c1", "c2"))
    await store.approvals.record(Verdicts.of(asks, decisions=[one], resume=False), at(3))
    await store.approvals.record(Verdicts.of(asks, decisions=[two], resume=True), at(4))
    await store.runs.admit(Origin(run.run_id, "two", 1, 1), at(5))
    assert [approval.status for approval in await store.approvals.find(run_id=run.run_id)] == ["approved", "pending"]
    await store.runs.finish(finish(run.run_id, failed()), at(6))
    check_settled(parsed(await store.lines(run.run_id, settled=True)))
    assert (await row_of(store, run.run_id)).turn == 1


async def test_an_end_in_the_newest_turn_takes_nothing_back(store: Stores) -> None:
    run = await stepped(store)
    await store.runs.admit(Origin(run.run_id, "two", 2, 1), at(5))
    assert "run.resumed" not in await types(store, run.run_id)
