"""What a run writes about itself: each once, and nothing for a run that is over."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from longrun.activities.lifecycle import LifecycleActivities
from longrun.runtime.ids import new_id
from longrun.workflows.contract.requests import Answer, Answers, ModelCall, Pause, Verdicts
from longrun.workflows.contract.runs import Decision, RunOrder
from tests.build import Stores, calls, finish, order, pause
from tests.logcheck import parsed

Given = TypeVar("Given")
Got = TypeVar("Got")


class Desk:
    """The activities over a store, and the runs that they have started."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self._environment = ActivityEnvironment()
        self.started: list[str] = []
        self.cancelled: list[tuple[str, str]] = []
        self.activities = LifecycleActivities(
            stores.runs, stores.calls, stores.approvals, self._start, self._cancel, blobs=stores.blobs
        )

    async def run(self, write: Callable[[Given], Awaitable[Got]], given: Given) -> Got:
        """Run one of the activities."""
        return await self._environment.run(write, given)

    async def _start(self, following: RunOrder) -> None:
        self.started.append(following.run_id)

    async def _cancel(self, model: str, response_id: str) -> None:
        self.cancelled.append((model, response_id))

    async def pending(self) -> Pause:
        """What a run waits for that has called a tool."""
        run_id = (await self.stores.accept()).run_id
        message = calls("c1")
        await self.stores.ask(ModelCall(run_id=run_id, step=1), message)
        return pause(run_id, 1, message)

    async def types(self, run_id: str) -> list[str]:
        """What is in the log."""
        return [event.type for event in parsed(await self.stores.lines(run_id))]


@pytest.fixture
def desk(stores: Stores) -> Desk:
    return Desk(stores)


async def refused(writing: Awaitable[object]) -> tuple[str | None, bool]:
    """Why a write was refused, and whether for good."""
    with pytest.raises(ApplicationError) as failed:
        await writing
    return failed.value.type, failed.value.non_retryable


async def test_a_call_is_answered_once_however_often_it_is_written(desk: Desk) -> None:
    pending = await desk.pending()
    answer = Answer(call_id="c1", name="search", status="denied", content="no")
    first = await desk.run(desk.activities.answer_calls, Answers(run_id=pending.run_id, step=1, answers=(answer,)))
    other = answer.model_copy(update={"content": "yes"})
    assert (
        await desk.run(desk.activities.answer_calls, Answers(run_id=pending.run_id, step=1, answers=(other,))) == first
    )
    assert [outcome.content for outcome in first.outcomes] == ["no"]
    assert (await desk.types(pending.run_id)).count("tool.completed") == 1


async def test_a_pause_and_its_verdicts_are_written_once_however_often(desk: Desk) -> None:
    pending = await desk.pending()
    assert await desk.run(desk.activities.pause_run, pending) == await desk.run(desk.activities.pause_run, pending)
    verdicts = Verdicts.of(pending, decisions=[Decision(call_id="c1", decision="approve", id="d1")], resume=True)
    assert await desk.run(desk.activities.record_verdicts, verdicts) == await desk.run(
        desk.activities.record_verdicts, verdicts
    )
    types = await desk.types(pending.run_id)
    assert types[-5:] == ["approval.requested", "turn.ended", "run.waiting", "approval.decided", "run.resumed"]


async def test_a_pause_that_another_worker_writes_again_expires_when_the_first_one_said(desk: Desk) -> None:
    pending = await desk.pending()
    first = await desk.run(desk.activities.pause_run, pending)
    later = pending.model_copy(update={"expires_at": pending.expires_at + timedelta(seconds=5)})
    assert await desk.run(desk.activities.pause_run, later) == first
    (row,) = await desk.stores.approvals.find(run_id=pending.run_id)
    assert row.expires_at == first.pause.expires_at


async def test_the_end_starts_the_threads_next_run_also_when_it_is_written_again(desk: Desk) -> None:
    first = await desk.stores.accept()
    following = await desk.stores.accept(order(first.thread_id))
    ended = await desk.run(desk.activities.finish_run, finish(first.run_id))
    assert await desk.run(desk.activities.finish_run, finish(first.run_id)) == ended
    assert set(desk.started) == {following.run_id}
    assert (await desk.types(first.run_id)).count("run.completed") == 1


async def test_the_end_of_a_threads_last_run_starts_nothing(desk: Desk) -> None:
    await desk.run(desk.activities.finish_run, finish((await desk.stores.accept()).run_id))
    assert desk.started == []


WRITES: dict[str, Callable[[Desk, Pause], Awaitable[object]]] = {
    "pause": lambda desk, pending: desk.run(desk.activities.pause_run, pending),
    "verdicts": lambda desk, pending: desk.run(
        desk.activities.record_verdicts, Verdicts.of(pending, expired=["c1"], resume=True)
    ),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
async def test_a_run_that_is_over_is_refused_for_good(
    desk: Desk, write: Callable[[Desk, Pause], Awaitable[object]]
) -> None:
    pending = await desk.pending()
    await desk.run(desk.activities.finish_run, finish(pending.run_id))
    before = await desk.types(pending.run_id)
    assert await refused(write(desk, pending)) == ("fenced", True)
    assert await desk.types(pending.run_id) == before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
async def test_what_is_written_of_a_run_that_the_store_has_lost_waits_until_it_is_back(
    desk: Desk, write: Callable[[Desk, Pause], Awaitable[object]]
) -> None:
    pending = (await desk.pending()).model_copy(update={"run_id": new_id()})
    assert await refused(write(desk, pending)) == ("store_unavailable", False)
    assert await refused(desk.run(desk.activities.finish_run, finish(new_id()))) == ("store_unavailable", False)
