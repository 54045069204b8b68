"""A run as Temporal executes it: its signals, its query, and the one loop."""

import asyncio
from collections.abc import Sequence

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, FailureError

from longrun.workflows import activity_options
from longrun.workflows.contract.requests import Stopping
from longrun.workflows.contract.runs import Cancel, Decision, Outcome, RunState, Snapshot
from longrun.workflows.contract.steps import LifecycleSteps
from longrun.workflows.policy import approvals, continuation, limits, outcomes
from longrun.workflows.run import Run
from longrun.workflows.signals import NotUnderstoodError, read_signal
from longrun.workflows.steps.failures import failed
from longrun.workflows.steps.finish import finish
from longrun.workflows.steps.history import is_long
from longrun.workflows.steps.ignored import note_ignored
from longrun.workflows.steps.model import ask_model
from longrun.workflows.steps.people import ask_people
from longrun.workflows.steps.stop import stopped
from longrun.workflows.steps.tools import call_tools

_DRAINS_WITHIN = 10.0
"""Seconds that a run waits for a message that was accepted for it."""


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
        while True:
            try:
                outcome = await self._until_outcome()
            except continuation.Due:
                workflow.continue_as_new(continuation.carried(self._run, waiting=True))
            if outcome is None:
                workflow.continue_as_new(continuation.carried(self._run))
            if written := await self._finished(outcome):
                return written

    async def _finished(self, outcome: Outcome) -> Outcome | None:
        """The outcome as it is written; ``None`` to go on with what was said meanwhile."""
        run = self._run
        written = await finish(run, outcome, drains=outcomes.may_go_on(outcome))
        if written is not None:  # pragma: no branch - both are tried; the tracer loses one between threads
            return written
        if await self._message_in_time():
            return None
        return await finish(run, stopped(run) or outcome)

    async def _message_in_time(self) -> bool:
        run = self._run
        try:
            await workflow.wait_condition(lambda: bool(run.inbox.messages or stopped(run)), timeout=_DRAINS_WITHIN)
        except TimeoutError:
            return False
        return stopped(run) is None

    @workflow.signal
    def decide(self, *given: object) -> None:
        """Decide on a call that waits, or will: {"call_id": "...", "decision": "approve"}, or deny, edit, answer."""
        self._receive("decide", given)

    @workflow.signal
    def cancel(self, *given: object) -> None:
        """End the run now; {"reason": "...", "by": "..."} says why."""
        self._receive("cancel", given)

    @workflow.signal
    def say(self, *given: object) -> None:
        """Say something that the model reads at its next step: {"text": "..."}."""
        self._receive("say", given)

    @workflow.signal(dynamic=True)
    def other(self, name: str, given: Sequence[RawValue]) -> None:
        """Take note of a signal that means nothing here."""
        self._receive(name, given)

    def _receive(self, name: str, given: Sequence[object]) -> None:
        """Take a signal, whatever it is.

        It is read here: the SDK fails the run's task where the payload is missing, and drops in silence what it cannot
        decode.
        """
        inbox = self._run.inbox
        try:
            signal = read_signal(name, given)
        except NotUnderstoodError as error:
            inbox.ignore(name, f"not understood: {error}")
            return
        if isinstance(signal, Cancel):
            self._stop(outcomes.cancelled(signal))
        elif isinstance(signal, Decision):
            inbox.decide(signal)
        else:
            inbox.say(signal)

    @workflow.update(name="decide")
    def decide_now(self, decision: Decision) -> str:
        """Decide on a call that waits now; refused where there is none, or where it is decided."""
        self._run.inbox.decide(decision)
        return f"{decision.decision}: {decision.call_id}"

    @decide_now.validator
    def _decide_now(self, decision: Decision) -> None:
        waiting = self._run.pause.calls if self._run.pause else ()
        if decision.call_id not in {call.call_id for call in waiting}:
            names = ", ".join(call.call_id for call in waiting) or "none"
            raise ApplicationError(f"no call {decision.call_id!r} waits; those that do: {names}")
        if self._run.inbox.decided([decision.call_id]):
            raise ApplicationError(f"the call {decision.call_id!r} is decided already")

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
        watches = [asyncio.create_task(watch) for watch in (self._watch_deadline(), self._watch_stop())]
        try:
            return await self._work
        except asyncio.CancelledError:
            if outcome := stopped(self._run):
                return outcome
            raise  # pragma: no cover - only an eviction cancels unasked, and today's SDK then raises its own error
        except FailureError as error:
            return stopped(self._run) or failed(error)
        finally:
            for watch in watches:
                watch.cancel()

    async def _watch_deadline(self) -> None:
        run = self._run
        seconds = limits.seconds_to_deadline(run.order.limits, run.started_at, workflow.now())
        if seconds is not None:
            if seconds:  # a timer of no time never fires
                await workflow.sleep(seconds, summary="the run's deadline")
            self._stop(outcomes.PAST_DEADLINE)

    async def _watch_stop(self) -> None:
        """Let the workers that have calls in flight know when the run stops; Temporal tells them only when they ask."""
        run = self._run
        await workflow.wait_condition(lambda: stopped(run) is not None)
        await workflow.execute_local_activity_method(
            LifecycleSteps.note_stopping, Stopping(run_id=run.order.run_id), **activity_options.WRITE
        )

    async def _loop(self) -> Outcome | None:
        """Step until an outcome; ``None`` when the history has become long enough to continue as new."""
        run = self._run
        while True:
            outcome = limits.step_limit(run.order.limits, run.step) or await self._next_step()
            if outcome := stopped(run) or outcome:
                return outcome
            await note_ignored(run)
            if is_long() and continuation.fits(continuation.carried(run)):
                return None

    async def _next_step(self) -> Outcome | None:
        """Ask the model, ask people where they must agree, call tools; ``None`` to go on."""
        run = self._run
        reply = await ask_model(run)
        cut_before, run.cut = run.cut, bool(reply.cut_calls)
        if outcome := stopped(run) or outcomes.after_reply(reply, cut_before=cut_before):
            return None if outcome.status == "completed" and run.inbox.messages else outcome
        waiting = approvals.pending(reply, run.step)
        verdicts = await ask_people(run, waiting) if waiting else {}
        return None if await call_tools(run, reply, verdicts) else outcomes.APPROVAL_EXPIRED
