"""What a run writes about itself."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

from temporalio import activity
from temporalio.exceptions import ApplicationError
from typing_extensions import override

from longrun.activities.failures import bounded, store_failures
from longrun.activities.fitting import fit, fit_all
from longrun.activities.identity import origin_of
from longrun.runtime.clock import now
from longrun.runtime.failpoints import reached
from longrun.store.approvals import Approvals
from longrun.store.blobs import Blobs
from longrun.store.calls import Calls
from longrun.store.log import FencedError
from longrun.store.runs import MessagesPendingError, Runs
from longrun.workflows.contract.requests import Answers, Finish, Ignore, Pause, Stopping, Verdicts
from longrun.workflows.contract.results import Answered, Finished, Ignored, Paused, Recorded
from longrun.workflows.contract.runs import RunOrder
from longrun.workflows.contract.steps import LifecycleSteps


@contextmanager
def _ended_runs_refused() -> Generator[None]:
    """Turn ``FencedError``, of a run that has ended or was reset, into a failure that is not retried."""
    try:
        yield
    except FencedError as error:
        raise ApplicationError(str(error), type="fenced", non_retryable=True) from error


class LifecycleActivities(LifecycleSteps):
    """Implements the port with the store.

    Args:
        runs: The runs.
        calls: The ledger of tool calls.
        approvals: The approvals.
        start: Starts the workflow of a run that may start; harmless to repeat.
        cancel: Ends an answer that nobody waits for any more, by model and response id; harmless to repeat.
        blobs: What is kept whole.
    """

    def __init__(  # noqa: PLR0913 - one argument for each part of the store that it uses
        self,
        runs: Runs,
        calls: Calls,
        approvals: Approvals,
        start: Callable[[RunOrder], Awaitable[None]],
        cancel: Callable[[str, str], Awaitable[None]],
        *,
        blobs: Blobs,
    ) -> None:
        self._runs = runs
        self._calls = calls
        self._approvals = approvals
        self._blobs = blobs
        self._start = start
        self._cancel = cancel

    @override
    @activity.defn
    async def answer_calls(self, answers: Answers) -> Answered:
        with bounded(), store_failures(), _ended_runs_refused():
            await self._runs.admit(origin_of(answers.run_id, answers.step), now())
            outcomes = await self._calls.answer(answers.run_id, answers.answers, now())
            return await fit_all(Answered(outcomes=outcomes), self._blobs)

    @override
    @activity.defn
    async def pause_run(self, pause: Pause) -> Paused:
        with bounded(), store_failures(), _ended_runs_refused():
            await self._runs.admit(origin_of(pause.run_id, pause.step), now())
            paused = await self._approvals.pause(pause, now())
        reached("pause written")
        return paused

    @override
    @activity.defn
    async def record_verdicts(self, verdicts: Verdicts) -> Recorded:
        with bounded(), store_failures(), _ended_runs_refused():
            await self._runs.admit(origin_of(verdicts.run_id, verdicts.step), now())
            recorded = await self._approvals.record(verdicts, now())
        reached("verdict written")
        return recorded

    @override
    @activity.defn
    async def note_ignored(self, ignore: Ignore) -> Ignored:
        with bounded(), store_failures(), _ended_runs_refused():
            await self._runs.admit(origin_of(ignore.run_id, ignore.acknowledged, ignore.turn), now())
            return await self._runs.note_ignored(ignore, now())

    @override
    @activity.defn
    async def note_stopping(self, stopping: Stopping) -> None:
        with bounded(), store_failures():
            await self._runs.note_stopping(stopping.run_id)

    @override
    @activity.defn
    async def finish_run(self, finish: Finish) -> Finished:
        reached("finishing")
        with bounded(), store_failures(), _ended_runs_refused():
            await self._runs.admit(origin_of(finish.run_id, finish.acknowledged, finish.turn), now())
            try:
                finished, following = await self._runs.finish(finish, now())
            except MessagesPendingError as error:
                raise ApplicationError(str(error), type="messages_pending", non_retryable=True) from None
            fitting = await fit(finished, self._blobs)
        reached("finished")
        if following:
            reached("thread passed on")
            await self._start(following)
        for last in (step.attempts[-1] for step in finished.open_steps if step.attempts):
            if last.provider and last.response_id:
                await self._cancel(last.provider, last.response_id)
        return fitting
