"""What a run writes about itself."""

from collections.abc import Awaitable, Callable

from temporalio import activity
from typing_extensions import override

from store.approvals import Approvals
from store.calls import Calls
from store.clock import now
from store.runs import Runs
from workflows.contract.runs import RunOrder
from workflows.contract.steps import (
    Answered,
    Answers,
    Finish,
    Finished,
    LifecycleSteps,
    Pause,
    Paused,
    Recorded,
    Verdicts,
)


class LifecycleActivities(LifecycleSteps):
    """Implements the port with the store.

    Args:
        runs: The runs.
        calls: The ledger of tool calls.
        approvals: The approvals.
        start: Starts the workflow of a run that may start; harmless to repeat.
    """

    def __init__(
        self, runs: Runs, calls: Calls, approvals: Approvals, start: Callable[[RunOrder], Awaitable[None]]
    ) -> None:
        self._runs = runs
        self._calls = calls
        self._approvals = approvals
        self._start = start

    @override
    @activity.defn
    async def answer_calls(self, answers: Answers) -> Answered:
        return Answered(outcomes=await self._calls.answer(answers.run_id, answers.answers, now()))

    @override
    @activity.defn
    async def pause_run(self, pause: Pause) -> Paused:
        return await self._approvals.pause(pause, now())

    @override
    @activity.defn
    async def record_verdicts(self, verdicts: Verdicts) -> Recorded:
        return await self._approvals.record(verdicts, now())

    @override
    @activity.defn
    async def finish_run(self, finish: Finish) -> Finished:
        finished, following = await self._runs.finish(finish, now())
        if following:
            await self._start(following)
        return finished
