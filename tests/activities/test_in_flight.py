"""Heartbeats come from the background as long as the work goes on, at once where the run stops, and no longer."""

import asyncio
import logging

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.testing import ActivityEnvironment

from longrun.activities.ends import cancelled_by_run
from longrun.activities.in_flight import InFlight
from longrun.store.db.database import StoreUnavailableError
from tests.harness import until


class Pulse:
    """An activity's environment that counts heartbeats."""

    def __init__(self) -> None:
        self.environment = ActivityEnvironment()
        self.environment.on_heartbeat = self._count
        self.beats = 0

    def _count(self, *_: object) -> None:
        self.beats += 1

    async def beaten(self, times: int) -> bool:
        """Wait for so many."""

        async def look() -> bool:
            return self.beats >= times

        return await until(look, f"{times} heartbeats")


async def _others_running(before: "set[asyncio.Task[object]]") -> bool:
    """Whether there are tasks that were not there before, other than this one."""
    await asyncio.sleep(0)
    return bool(asyncio.all_tasks() - before - {asyncio.current_task()})


async def test_silent_work_beats_at_once_and_whenever_its_run_stops() -> None:
    pulse, calls = Pulse(), InFlight("worker")

    async def stopping() -> list[str]:
        return ["run", "another"]

    async def work() -> str:
        async with calls.heartbeats("run", 0):
            await pulse.beaten(1)
            watching = asyncio.create_task(calls.watch(stopping))
            await pulse.beaten(3)
            watching.cancel()
            return "done"

    assert await pulse.environment.run(work) == "done"


async def test_calls_of_a_store_that_is_away_go_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "longrun.activities.in_flight")
    pulse, calls, looked = Pulse(), InFlight("worker"), asyncio.Semaphore(0)

    async def unavailable() -> list[str]:
        looked.release()
        raise StoreUnavailableError("it is away")

    async def work() -> str:
        async with calls.heartbeats("run", 0):
            watching = asyncio.create_task(calls.watch(unavailable))
            for _ in range(2):
                await looked.acquire()
            watching.cancel()
            return "done"

    assert await pulse.environment.run(work) == "done"
    assert "it is away" in caplog.text


async def test_the_heart_stops_with_the_work_even_if_that_fails() -> None:
    pulse = Pulse()
    before = asyncio.all_tasks()

    async def work() -> None:
        async with InFlight("worker").heartbeats("run", 0):
            await pulse.beaten(1)
            raise ValueError("the work failed")

    with pytest.raises(ValueError, match="the work failed"):
        await pulse.environment.run(work)
    assert not await _others_running(before)


@pytest.mark.parametrize(
    ("details", "by_run"),
    [
        (ActivityCancellationDetails(cancel_requested=True), True),
        (ActivityCancellationDetails(worker_shutdown=True), False),
        (ActivityCancellationDetails(timed_out=True), False),
        (ActivityCancellationDetails(not_found=True), False),
    ],
    ids=["run", "shutdown", "timeout", "not found"],
)
async def test_only_the_runs_own_wish_is_its_cancel(details: ActivityCancellationDetails, *, by_run: bool) -> None:
    environment = ActivityEnvironment()
    began = asyncio.Event()

    async def work() -> bool:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return cancelled_by_run()
        return False

    working = asyncio.ensure_future(environment.run(work))
    await began.wait()
    environment.cancel(details)
    assert await working is by_run


async def test_work_that_nobody_cancelled_was_not_cancelled_by_the_run() -> None:
    async def work() -> bool:
        return cancelled_by_run()

    assert not await ActivityEnvironment().run(work)
