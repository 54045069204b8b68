"""Tool calls: started once or more, answered once."""

import asyncio
import hashlib

import pytest

from longrun.store.attempts import Attempts, Taker
from longrun.store.blobs import Blobs, KeptResult
from longrun.store.calls import MOST_LOST, UnknownCallError
from longrun.store.log import FencedError
from longrun.workflows.contract.events import type_of
from longrun.workflows.contract.requests import Answer, ModelCall, ToolCall
from longrun.workflows.contract.results import ModelReply, ToolOutcome
from longrun.workflows.contract.runs import RunOrder
from tests.build import START, Stores, at, calls, finish, tool_call


async def called(store: Stores, *call_ids: str) -> tuple[RunOrder, ModelReply, list[ToolCall]]:
    """A run whose first step made these calls."""
    run = await store.accept()
    reply = await store.ask(ModelCall(run_id=run.run_id, step=1), calls(*call_ids))
    return run, reply, [tool_call(run.run_id, 1, part) for part in reply.message.calls]


def ok(call: ToolCall, content: str = "found") -> Answer:
    return Answer(call_id=call.call_id, name=call.name, status="ok", content=content)


async def complete(store: Stores, call: ToolCall, attempt: int, content: str = "found") -> ToolOutcome:
    return await store.calls.complete(call, ok(call, content), None, attempt, at(9))


async def test_a_call_is_begun_reports_and_gets_its_result(store: Stores) -> None:
    run, reply, (call,) = await called(store, "c1")
    attempt = await store.calls.begin(call, None, Taker("worker-1", at(3)))
    assert (attempt.number, attempt.arguments, attempt.interrupted) == (1, reply.message.calls[0].arguments, False)
    await store.calls.progress(call, 1, 1, {"done": 0.5}, at(4))
    await store.calls.progress(call, 1, 2, [None, "é"], at(5))
    outcome = await complete(store, call, 1)
    assert [type_of(line) for line in await store.lines(run.run_id)][-4:] == [
        *("tool.started", "tool.progress", "tool.progress", "tool.completed")
    ]
    assert [report.data for report in outcome.progress] == [{"done": 0.5}, [None, "é"]]
    assert [report.stamp.at for report in outcome.progress] == [at(4), at(5)]
    assert outcome.started == attempt.started
    messages = await store.messages_of(run.run_id)
    assert messages[-1].role == "tool"
    assert messages[-1].model_dump()["parts"][0]["content"] == "found"


async def test_an_interrupted_call_begins_again_and_knows_it(store: Stores) -> None:
    run, _, (call,) = await called(store, "c1")
    first = await store.calls.begin(call, None, Taker("worker-1", at(3)))
    for n in range(1, 12):
        await store.calls.progress(call, 1, n, n, at(4))
    second = await store.calls.begin(call, None, Taker("worker-2", at(5)))
    assert (second.number, second.interrupted, second.started) == (2, True, first.started)
    with pytest.raises(FencedError):
        await store.calls.progress(call, 1, 12, "late", at(6))
    with pytest.raises(FencedError):
        await complete(store, call, 1)
    await store.calls.progress(call, 2, 1, "again", at(7))
    outcome = await complete(store, call, 2)
    assert [(report.attempt, report.data) for report in outcome.progress] == [
        *((1, n) for n in range(1, 12)),
        (2, "again"),
    ]
    assert outcome.attempt == 2
    assert [type_of(line) for line in await store.lines(run.run_id)].count("tool.started") == 1


async def test_each_attempt_of_a_call_has_its_row_and_all_go_with_the_result(store: Stores) -> None:
    run, _, (call,) = await called(store, "c1")
    await store.calls.begin(call, None, Taker("worker-1", at(3)))
    await store.calls.begin(call, None, Taker("worker-2", at(5)))
    await store.calls.hand_over(call, 2, at(6))
    attempt = await store.calls.begin(call, None, Taker("worker-3", at(7)))
    outcome = await complete(store, call, attempt.number)
    assert [(each.attempt, each.worker, each.outcome, each.recovered) for each in outcome.attempts] == [
        (1, "worker-1", "lost", "none"),
        (2, "worker-2", "handed_over", "reissued"),
        (3, "worker-3", "completed", "reissued"),
    ]
    assert [(each.started_at, each.ended_at) for each in outcome.attempts] == [
        *((at(3), at(5)), (at(5), at(6)), (at(7), at(9))),
    ]
    assert {(each.step, each.call_id) for each in outcome.attempts} == {(1, "c1")}
    kept = [each for each in await Attempts(store.database).of_run(run.run_id) if each.call_id]
    assert tuple(kept) == outcome.attempts


async def test_how_an_attempt_ended_is_told_by_who_gave_the_result(store: Stores) -> None:
    run, _, (one, two, three, four) = await called(store, "c1", "c2", "c3", "c4")
    for call in (one, two, three):
        await store.calls.begin(call, None, Taker("worker-1", at(3)))
    cancelled = ok(one).model_copy(update={"status": "cancelled"})
    stopped = await store.calls.complete(one, cancelled, None, 1, at(4))
    (broken,) = await store.calls.answer(run.run_id, [ok(two)], at(5))
    finished, _ = await store.runs.finish(finish(run.run_id), at(6))
    closed, never = finished.closed
    ends = [[each.outcome for each in outcome.attempts] for outcome in (stopped, broken, closed, never)]
    assert ends == [["cancelled"], ["failed"], ["cancelled"], []]
    assert (closed.call_id, never.call_id) == (three.call_id, four.call_id)
    assert closed.content == (
        "Interrupted: the run ended (end_turn) after the call had begun, so it may have had its effect."
    )
    assert never.content == "Not run: the run ended (end_turn)."


async def test_an_interrupted_call_that_must_not_repeat_begins_only_the_attempt_that_was_agreed_to(
    store: Stores,
) -> None:
    _, _, (call,) = await called(store, "c1")
    first = await store.calls.begin(call, None, Taker("worker-1", at(3)), repeats=False)
    assert (first.number, first.halted) == (1, None)
    for again in (0, 1, 3):
        unsure = call.model_copy(update={"again": again})
        halted = await store.calls.begin(unsure, None, Taker("worker-2", at(4)), repeats=False)
        assert (halted.number, halted.interrupted, halted.halted) == (2, True, "interrupted")
        assert halted.started == first.started
    with pytest.raises(FencedError):
        await store.calls.progress(call, 1, 1, "late", at(5))
    with pytest.raises(FencedError):
        await complete(store, call, 1)
    agreed = call.model_copy(update={"again": 2})
    attempt = await store.calls.begin(agreed, '{"q":"other"}', Taker("worker-2", at(6)), repeats=False)
    assert (attempt.number, attempt.arguments, attempt.halted) == (2, '{"q":"other"}', None)
    assert (await store.calls.begin(agreed, None, Taker("worker-3", at(7)), repeats=False)).halted == "interrupted"
    assert (
        await store.calls.begin(agreed.model_copy(update={"again": 3}), None, Taker("w", at(8)), repeats=False)
    ).number == 3
    outcome = await complete(store, call, 3)
    assert outcome.attempt == 3


async def test_a_call_that_was_lost_too_often_is_not_begun_again(store: Stores) -> None:
    _, _, (call,) = await called(store, "c1")
    for attempt in range(1, MOST_LOST + 1):
        assert (await store.calls.begin(call, None, Taker("worker", at(attempt)))).number == attempt
    for repeats in (True, False):
        halted = await store.calls.begin(call, None, Taker("worker", at(9)), repeats=repeats)
        assert (halted.number, halted.halted) == (MOST_LOST + 1, "given_up")


async def test_a_result_is_kept_whole_once_however_often_it_comes(store: Stores) -> None:
    run, _, (one, two, three) = await called(store, "c1", "c2", "c3")
    for call in (one, two, three):
        await store.calls.begin(call, None, Taker("worker-1", at(3)))
    whole = "é" * 100_000
    outcomes = [await store.calls.complete(call, ok(call, "é…"), whole, 1, at(4)) for call in (one, two)]
    short = await complete(store, three, 1, "short")
    assert {outcome.whole for outcome in outcomes} == {hashlib.sha256(whole.encode()).hexdigest()}
    blobs = Blobs(store.database)
    for outcome in outcomes:
        assert await blobs.result(run.run_id, outcome.call_id) == KeptResult(outcome, whole.encode())
    assert await blobs.result(run.run_id, "c3") == KeptResult(short, b"short")
    assert await blobs.result(run.run_id, "c4") is None
    await store.database.write(lambda tx: tx.exec_driver_sql("DELETE FROM blobs"))
    assert await blobs.result(run.run_id, "c1") == KeptResult(outcomes[0], None)


async def test_the_reports_of_calls_with_like_names_are_kept_apart(store: Stores) -> None:
    _, _, (one, two, three) = await called(store, "c", "c:progress:1", "C")
    for call in (one, two, three):
        await store.calls.begin(call, None, Taker("worker-1", at(3)))
        await store.calls.progress(call, 1, 1, call.call_id, at(4))
    for call in (one, two, three):
        assert [report.data for report in (await complete(store, call, 1)).progress] == [call.call_id]


async def test_completing_twice_keeps_the_first_result(store: Stores) -> None:
    run, _, (call,) = await called(store, "c1")
    await store.calls.begin(call, None, Taker("worker-1", at(3)))
    first = await complete(store, call, 1)
    head = await store.log.head(run.run_id)
    assert await complete(store, call, 1, "other") == first
    again = await store.calls.begin(call, None, Taker("worker-2", at(30)))
    assert again.outcome == first
    assert again.started == first.started
    assert await store.log.head(run.run_id) == head


async def test_edited_arguments_are_what_the_tool_runs_with_and_what_the_outcome_says(store: Stores) -> None:
    _, _, (call, other) = await called(store, "c1", "c2")
    attempt = await store.calls.begin(call, '{"q":"safe"}', Taker("worker-1", at(3)))
    assert attempt.arguments == '{"q":"safe"}'
    outcome = await store.calls.complete(call, ok(call), None, 1, at(4))
    assert outcome.arguments == '{"q":"safe"}'
    await store.calls.begin(other, '{"q":"cut"}', Taker("worker-1", at(3)))
    (closed,) = await store.calls.answer(call.run_id, [ok(other)], at(5))
    assert closed.arguments == '{"q":"cut"}'
    assert closed.started is not None


async def test_answers_stand_once_and_close_what_runs(store: Stores) -> None:
    run, _, (one, two) = await called(store, "c1", "c2")
    await store.calls.begin(one, None, Taker("worker-1", at(3)))
    denied = [Answer(call_id=c.call_id, name=c.name, status="denied", content="no") for c in (one, two)]
    outcomes = await store.calls.answer(run.run_id, denied, at(4))
    assert [(outcome.status, outcome.started is None) for outcome in outcomes] == [("denied", False), ("denied", True)]
    head = await store.log.head(run.run_id)
    assert await store.calls.answer(run.run_id, [ok(two), ok(one)], at(5)) == tuple(reversed(outcomes))
    assert await complete(store, one, 1) == outcomes[0]
    with pytest.raises(FencedError):
        await store.calls.progress(one, 1, 1, None, at(6))
    assert await store.log.head(run.run_id) == head


async def test_two_workers_with_one_call_leave_one_result(database_url: str) -> None:
    stores = [Stores.over(database_url), Stores.over(database_url)]
    run, _, (call,) = await called(stores[0], "c1")
    attempts = await asyncio.gather(*(store.calls.begin(call, None, Taker("w", START)) for store in stores))
    assert sorted(each.number for each in attempts) == [1, 2]
    assert {each.started.first for each in attempts} == {attempts[0].started.first}
    results = await asyncio.gather(
        *(complete(store, call, each.number, "found") for store, each in zip(stores, attempts, strict=True)),
        return_exceptions=True,
    )
    won = [result for result in results if isinstance(result, ToolOutcome)]
    assert won
    assert all(result == won[0] or isinstance(result, FencedError) for result in results)
    assert [type_of(line) for line in await stores[0].lines(run.run_id)].count("tool.completed") == 1
    for store in stores:
        await store.database.aclose()


async def test_a_call_that_nobody_made_is_refused(store: Stores) -> None:
    run, _, _ = await called(store, "c1")
    unknown = ToolCall(run_id=run.run_id, step=1, call_id="c9", name="search")
    with pytest.raises(UnknownCallError):
        await store.calls.begin(unknown, None, Taker("worker-1", at(3)))
    with pytest.raises(UnknownCallError):
        await complete(store, unknown, 1)
    with pytest.raises(UnknownCallError):
        await store.calls.answer(run.run_id, [ok(unknown)], at(3))


async def test_a_call_of_an_ended_run_is_not_begun(store: Stores) -> None:
    run, _, (call,) = await called(store, "c1")
    finished, _ = await store.runs.finish(finish(run.run_id), at(8))
    attempt = await store.calls.begin(call, None, Taker("worker-1", at(9)))
    assert attempt.outcome == finished.closed[0]
    assert attempt.started == finished.closed[0].stamp
    assert type_of((await store.lines(run.run_id))[-1]) == "run.completed"
