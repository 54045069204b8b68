"""A run as Temporal executes it: its signals, its query, and the one loop."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

from longrun.workflows.contract.runs import Cancel, Decision, Outcome, RunState, Said, Snapshot
from longrun.workflows.policy import approvals, continuation, limits, outcomes
from longrun.workflows.run import Run
from longrun.workflows.steps.failures import failed
from longrun.workflows.steps.finish import finish
from longrun.workflows.steps.model import ask_model
from longrun.workflows.steps.people import ask_people
from longrun.workflows.steps.stop import stopped
from longrun.workflows.steps.tools import call_tools


@workflow.defn(name="AgentRun")
class AgentRun:
    """One agent run. Signals only set state; the loop and ``policy`` decide what follows from it."""

    @workflow.init
    def __init__(self, state: RunState) -> None:
        self._run = Run.started(state, workflow.now())
        self._work: asyncio.Task[Outcome | None] | None = None

    @workflow.run
    async def run(self, _state: RunState) -> Outcome:
        """Step until there is an outcome, write it, and return it."""
        outcome = await self._until_outcome()
        if outcome is None:
            workflow.continue_as_new(continuation.carried(self._run))
        return await finish(self._run, outcome)

    @workflow.signal
    def decide(self, decision: Decision) -> None:
        """Keep a reviewer's decision on a call: the first one counts, and one may come before its call."""
        self._run.inbox.decide(decision)

    @workflow.signal
    def cancel(self, cancel: Cancel) -> None:
        """End the run now."""
        self._stop(outcomes.cancelled(cancel))

    @workflow.signal
    def say(self, said: Said) -> None:
        """Keep a user's message for the next step."""
        self._run.inbox.say(said)

    @workflow.query
    def status(self) -> Snapshot:
        """The run as it is now."""
        return self._run.snapshot()

    def _stop(self, outcome: Outcome) -> None:
        if self._run.stop is None:
            self._run.stop = outcome
            if self._work:
                self._work.cancel()

    async def _until_outcome(self) -> Outcome | None:
        """Run the loop and watch the deadline; ``None`` to continue as new."""
        if self._run.stop:
            return self._run.stop
        self._work = asyncio.create_task(self._loop())
        deadline = asyncio.create_task(self._watch_deadline())
        try:
            return await self._work
        except asyncio.CancelledError:
            if outcome := stopped(self._run):
                return outcome
            raise  # pragma: no cover - only an eviction cancels unasked, and today's SDK then raises its own error
        except ActivityError as error:
            return stopped(self._run) or failed(error)
        finally:
            deadline.cancel()

    async def _watch_deadline(self) -> None:
        run = self._run
        seconds = limits.seconds_to_deadline(run.order.limits, run.started_at, workflow.now())
        if seconds is not None:
            if seconds:  # a timer of no time never fires
                await workflow.sleep(seconds, summary="the run's deadline")
            self._stop(outcomes.PAST_DEADLINE)

    async def _loop(self) -> Outcome | None:
        """Step until an outcome; ``None`` when the history has become long enough to continue as new."""
        run = self._run
        while True:
            outcome = limits.step_limit(run.order.limits, run.step) or await self._next_step()
            if outcome := stopped(run) or outcome:
                return outcome
            info = workflow.info()
            long = info.is_continue_as_new_suggested() or continuation.is_due(info.get_current_history_length())
            if long and run.inbox.fits:
                return None

    async def _next_step(self) -> Outcome | None:
        """Ask the model, ask people where they must agree, call tools; ``None`` to go on."""
        run = self._run
        reply = await ask_model(run)
        if outcome := stopped(run) or outcomes.after_reply(reply):
            return None if outcome.status == "completed" and run.inbox.messages else outcome
        waiting = approvals.pending(run.order.agent, reply, run.step)
        verdicts = await ask_people(run, waiting) if waiting else {}
        return None if await call_tools(run, reply, verdicts) else outcomes.APPROVAL_EXPIRED
