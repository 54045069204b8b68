"""Runs: accepted once, one at a time on a thread, ended once."""

import asyncio
import json
from dataclasses import replace

import pytest

from longrun.store.attempts import Taker
from longrun.store.log import FencedError, LostRunError
from longrun.store.runs import Acceptance, Accepted, KeyReusedError, RunFilter, ThreadBusyError
from longrun.workflows.contract.events import type_of
from longrun.workflows.contract.requests import ModelCall
from longrun.workflows.contract.runs import Cancel, Outcome, Said
from tests.build import COMPLETED, START, Stores, agent, at, calls, failed, finish, later, order, says, tool_call

CANCELLED = Outcome(status="cancelled", stop_reason="cancelled", cancel=Cancel(reason="enough", by="ann"))


async def test_an_accepted_run_has_its_row_its_input_and_its_first_event(store: Stores) -> None:
    given = order(text="what now?")
    assert await store.runs.accept(Acceptance(given)) == Accepted(given.run_id, created=True, ready=True)
    row = await store.runs.get(given.run_id)
    assert row is not None
    assert (row.status, row.position, row.turn, row.step, row.dispatched) == ("queued", 1, 1, 0, False)
    assert await store.runs.order(given.run_id) == given
    assert await store.messages_of(given.run_id) == [given.input]
    (line,) = await store.lines(given.run_id)
    event = json.loads(line)
    assert (event["type"], event["metadata"], event["thread_id"]) == ("run.accepted", {"ticket": 7}, given.thread_id)


async def test_an_unknown_run_is_nothing(store: Stores) -> None:
    assert await store.runs.get("nobody") is None
    assert await store.runs.order("nobody") is None
    with pytest.raises(LostRunError):
        await store.runs.finish(finish("nobody"), START)


async def test_the_same_key_gives_the_same_run(store: Stores) -> None:
    given = Acceptance(order(), key="k", digest="d")
    first = await store.runs.accept(given)
    again = await store.runs.accept(replace(given, order=order()))
    assert again == Accepted(first.run_id, created=False, ready=True)
    await store.runs.dispatched(first.run_id)
    assert (await store.runs.accept(given)).ready is False
    with pytest.raises(KeyReusedError):
        await store.runs.accept(replace(given, digest="other"))
    assert len(await store.runs.find(RunFilter())) == 1


async def test_a_repeated_acceptance_of_a_queued_run_does_not_make_it_ready(store: Stores) -> None:
    first = await store.accept()
    given = Acceptance(order(first.thread_id), key="k", digest="d")
    accepted = [await store.runs.accept(given) for _ in range(2)]
    assert [each.ready for each in accepted] == [False, False]


async def test_one_key_at_once_from_two_processes_makes_one_run(database_url: str) -> None:
    stores = [Stores.over(database_url), Stores.over(database_url)]
    for n in range(8):
        accepted = await asyncio.gather(
            *(store.runs.accept(Acceptance(order("t"), key=f"k{n}", digest="d")) for store in stores * 2)
        )
        assert len({each.run_id for each in accepted}) == 1
        assert [each.created for each in accepted].count(True) == 1
    runs = await stores[0].runs.find(RunFilter(thread="t"))
    assert sorted(run.position for run in runs) == list(range(1, 9))
    for store in stores:
        await store.database.aclose()


async def test_a_thread_works_on_one_run_and_queues_the_others_in_order(store: Stores) -> None:
    runs = [order("t") for _ in range(3)]
    accepted = [await store.runs.accept(Acceptance(run)) for run in runs]
    assert [each.ready for each in accepted] == [True, False, False]
    _, following = await store.runs.finish(finish(runs[0].run_id), at(1))
    assert following == runs[1]
    await store.runs.dispatched(runs[1].run_id)
    _, following = await store.runs.finish(finish(runs[1].run_id), at(2))
    assert following == runs[2]
    _, following = await store.runs.finish(finish(runs[2].run_id), at(3))
    assert following is None
    assert (await store.runs.accept(Acceptance(order("t")))).ready


async def test_a_queued_run_that_ends_leaves_the_thread_to_the_one_that_works(store: Stores) -> None:
    runs = [order("t") for _ in range(3)]
    for run in runs:
        await store.accept(run)
    await store.runs.dispatched(runs[0].run_id)
    _, following = await store.runs.finish(finish(runs[1].run_id, CANCELLED), at(1))
    assert following is None
    _, following = await store.runs.finish(finish(runs[0].run_id), at(2))
    assert following == runs[2]


async def test_a_busy_thread_can_refuse(store: Stores) -> None:
    first = await store.accept()
    refused = Acceptance(order(first.thread_id), on_busy="reject")
    with pytest.raises(ThreadBusyError) as busy:
        await store.runs.accept(refused)
    assert busy.value.run_id == first.run_id
    assert await store.runs.get(refused.order.run_id) is None
    await store.runs.finish(finish(first.run_id), at(1))
    assert (await store.runs.accept(refused)).ready


async def test_no_run_is_forgotten_when_it_is_accepted_while_the_thread_is_passed_on(database_url: str) -> None:
    stores = [Stores.over(database_url), Stores.over(database_url)]
    working = await stores[0].accept(order("t"))
    for _ in range(15):
        joining = order("t")
        (_, following), accepted = await asyncio.gather(
            stores[0].runs.finish(finish(working.run_id), at(1)), stores[1].runs.accept(Acceptance(joining))
        )
        assert accepted.ready != (following == joining)
        working = joining
    for store in stores:
        await store.database.aclose()


@pytest.mark.parametrize(
    ("outcome", "event"),
    [(COMPLETED, "run.completed"), (failed("budget"), "run.failed"), (CANCELLED, "run.cancelled")],
)
async def test_the_end_is_written_once(store: Stores, outcome: Outcome, event: str) -> None:
    run = await store.accept()
    await store.ask(ModelCall(run_id=run.run_id, step=1), says("the answer"))
    finished, _ = await store.runs.finish(finish(run.run_id, outcome), at(7))
    lines = await store.lines(run.run_id)
    assert [type_of(line) for line in lines][-2:] == ["turn.ended", event]
    assert finished.stamp.first == len(lines) - 1
    again, _ = await store.runs.finish(finish(run.run_id, failed()), at(70))
    assert again == finished
    assert await store.lines(run.run_id) == lines
    row = await store.runs.get(run.run_id)
    assert row is not None
    assert (row.status, row.stop_reason, row.output, row.ended_at) == (
        *(outcome.status, outcome.stop_reason, "the answer", at(7)),
    )


async def test_the_end_closes_open_steps_and_unanswered_calls(store: Stores) -> None:
    run = await store.accept()
    reply = await store.ask(ModelCall(run_id=run.run_id, step=1), calls("c1", "c2"))
    await store.calls.begin(tool_call(run.run_id, 1, reply.message.calls[0]), None, Taker("w", at(1)))
    second = ModelCall(run_id=run.run_id, step=2)
    attempt = await store.begin(second)
    await store.babble(second, attempt, ["half a "])
    finished, _ = await store.runs.finish(finish(run.run_id, CANCELLED), at(7))
    assert [(c.call_id, c.status, c.started is None) for c in finished.closed] == [
        *(("c1", "cancelled", False), ("c2", "cancelled", True)),
    ]
    (open_step,) = finished.open_steps
    assert (open_step.opened.step, open_step.notices[0].attempt) == (2, 1)
    with pytest.raises(FencedError):
        await store.babble(second, attempt, ["word"])
    with pytest.raises(FencedError):
        await store.stream(second, attempt, says("half a word"))
    assert b"half a" not in b"".join(await store.lines(run.run_id, settled=True))


async def test_the_next_run_reads_what_its_thread_has_said_before(store: Stores) -> None:
    first, second, third = order("t", text="one"), order("t", text="two"), order("t", text="three")
    await store.accept(first)
    reply = await store.ask(ModelCall(run_id=first.run_id, step=1), calls("c1"))
    await store.runs.finish(finish(first.run_id, CANCELLED), at(1))
    await store.accept(second)
    await store.accept(third)
    said = ModelCall(run_id=second.run_id, step=2, said=(Said(text="wait"), Said(text="no")))
    answers = [await store.ask(ModelCall(run_id=second.run_id, step=1), says("hm"))]
    await store.begin(said)
    conversation = await store.messages.conversation(second.run_id, 2)
    assert conversation[:2] == [first.input, reply.message]
    assert conversation[2].role == "tool"
    assert conversation[3:5] == [second.input, answers[0].message]
    assert [message.text for message in conversation[5:]] == ["wait", "no"]
    answers.append(await store.stream(said, await store.begin(said), says("well")))
    assert await store.messages.conversation(second.run_id, 2) == conversation
    assert await store.messages.conversation(second.run_id, 3) == [*conversation, answers[1].message]
    assert (await store.messages.conversation(second.run_id, 1)) == conversation[:4]
    assert await store.messages.conversation("nobody", 1) == []


async def test_runs_are_listed_newest_first_by_what_is_asked(store: Stores) -> None:
    runs = [order("t" if n % 2 else None, spec=agent(f"a{n % 3}")) for n in range(7)]
    for run in runs:
        await store.accept(run)
    ids = [run.run_id for run in reversed(runs)]
    await store.runs.finish(finish(runs[0].run_id), at(1))

    async def found(which: RunFilter) -> list[str]:
        return [row.id for row in await store.runs.find(which)]

    assert await found(RunFilter()) == ids
    assert await found(RunFilter(most=2)) == ids[:2]
    assert await found(RunFilter(most=2, before=ids[1])) == ids[2:4]
    assert await found(RunFilter(thread="t")) == [runs[n].run_id for n in (5, 3, 1)]
    assert await found(RunFilter(agent="a0", status="queued")) == [runs[n].run_id for n in (6, 3)]
    assert await found(RunFilter(status="completed")) == [runs[0].run_id]


async def test_what_nobody_started_and_what_has_not_ended_can_be_found(store: Stores) -> None:
    first, queued, young = order("t"), order("t"), later(order(), 60)
    for run in (first, queued, young):
        await store.accept(run)
    assert await store.runs.undispatched(at(30)) == [first]
    assert await store.runs.undispatched(at(90)) == [first, young]
    assert await store.runs.active() == frozenset()
    await store.runs.dispatched(first.run_id)
    assert await store.runs.undispatched(at(30)) == []
    assert await store.runs.active() == {first.run_id}
    await store.runs.finish(finish(first.run_id), at(100))
    assert await store.runs.active() == frozenset()
    assert await store.runs.undispatched(at(30)) == [queued]
