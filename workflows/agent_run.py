"""A run as Temporal executes it: one loop, one step. The only file with workflow calls."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from longrun.workflows import attributes, interruption, policy, presets, shielded
from longrun.workflows.contract.requests import Answer, Answers, Finish, ModelCall, Pause, ToolCall, ToolPlan, Verdicts
from longrun.workflows.contract.results import ModelReply
from longrun.workflows.contract.runs import Cancel, Decision, Outcome, PendingApproval, Phase, RunState, Said, Snapshot
from longrun.workflows.contract.steps import LifecycleSteps, ModelSteps, ToolSteps
from longrun.workflows.inbox import Inbox
from longrun.workflows.interruption import Interrupted


@workflow.defn(name="AgentRun")
class AgentRun:
    """One agent run. Outbox only set state; what they mean is decided in the loop and in ``policy``."""

    @workflow.init
    def __init__(self, state: RunState) -> None:
        self._order = state.order
        self._began = state.began or workflow.now()
        self._step, self._turn = state.step, state.turn
        self._acknowledged = state.step
        self._usage = state.usage
        self._inbox = Inbox(state.decisions, state.heard, state.heard_ids)
        self._pause: Pause | None = None
        self._phase: Phase = "starting"
        self._stop: Outcome | None = None
        self._work: asyncio.Task[Outcome | None] | None = None

    @workflow.run
    async def run(self, state: RunState) -> Outcome:
        """Step until there is an outcome, write it down, and return it."""
        outcome = await self._until_outcome()
        if outcome is None:
            workflow.continue_as_new(policy.carried(self.status(), state, self._inbox, self._began))
        return await self._finish(outcome)

    @workflow.signal
    def decide(self, decision: Decision) -> None:
        """A reviewer's word on a call; the first one counts, and one that comes before its call is kept."""
        self._inbox.decide(decision)

    @workflow.signal
    def cancel(self, cancel: Cancel) -> None:
        """End the run now."""
        self._halt(policy.cancelled(cancel))

    @workflow.signal
    def say(self, said: Said) -> None:
        """A user's words, for the next step."""
        self._inbox.say(said)

    @workflow.query
    def status(self) -> Snapshot:
        """Where the run stands."""
        pending = self._pause.calls if self._pause else ()
        return Snapshot(
            run_id=self._order.run_id,
            phase=self._phase,
            step=self._step,
            turn=self._turn,
            pending=pending,
            decided=self._inbox.decided(call.call_id for call in pending),
            expires_at=self._pause.expires_at if self._pause else None,
            usage=self._usage,
            limits=self._order.limits,
        )

    def _halt(self, outcome: Outcome) -> None:
        if self._stop is None:
            self._stop = outcome
            if self._work:
                self._work.cancel()

    def _stopped(self) -> Outcome | None:
        """The outcome of a run that was told to stop: by signal, by its deadline, or by Temporal's own cancel."""
        if self._stop is None and (reason := workflow.cancellation_reason()) is not None:
            self._stop = policy.cancelled(Cancel(reason=reason or None, by="temporal"))
        return self._stop

    async def _until_outcome(self) -> Outcome | None:
        if self._stop:
            return self._stop
        self._work = asyncio.create_task(self._loop())
        deadline = asyncio.create_task(self._watch_deadline())
        try:
            return await self._work
        except asyncio.CancelledError:
            if stopped := self._stopped():
                return stopped
            raise  # pragma: no cover - only an eviction cancels unasked, and today's SDK then raises its own error
        except ActivityError as error:
            return self._stopped() or _failed(error)
        finally:
            deadline.cancel()

    async def _watch_deadline(self) -> None:
        left = policy.seconds_left(self._order.limits, self._began, workflow.now())
        if left is not None:
            if left:  # a timer of no time never fires
                await workflow.sleep(left, summary="the run's deadline")
            self._halt(policy.PAST_DEADLINE)

    async def _loop(self) -> Outcome | None:
        """Step until an outcome; ``None`` when the history has become long enough for a new one."""
        while True:
            outcome = policy.limit_reached(self._order.limits, self._step) or await self._next_step()
            if outcome := self._stopped() or outcome:
                return outcome
            info = workflow.info()
            long = info.is_continue_as_new_suggested() or policy.long_enough(info.get_current_history_length())
            if long and self._inbox.fits:
                return None

    async def _next_step(self) -> Outcome | None:
        """Ask the model, interpret, gate, execute; ``None`` to go on."""
        reply = await self._ask()
        if outcome := self._stopped() or policy.after_reply(reply):
            return None if outcome.stop_reason == "end_turn" and self._inbox.heard else outcome
        waiting = policy.gated(self._order.agent, reply, self._step)
        verdicts = await self._ask_people(waiting) if waiting else {}
        return None if await self._execute(reply, verdicts) else policy.APPROVAL_EXPIRED

    async def _ask(self) -> ModelReply:
        self._step += 1
        self._enter("model", f"asking {self._order.agent.model}")
        call = ModelCall(run_id=self._order.run_id, step=self._step, said=self._inbox.take_heard())
        options = presets.model_call(self._order.agent.model)
        reply = await workflow.execute_activity_method(ModelSteps.call_model, call, **options)
        self._usage += reply.usage
        self._acknowledged = self._step
        return reply

    async def _ask_people(self, waiting: tuple[PendingApproval, ...]) -> dict[str, Decision | None]:
        """Pause until each of these calls has a decision; ``None`` is that of one whose time ran out."""
        self._pause = Pause(
            run_id=self._order.run_id,
            step=self._step,
            turn=self._turn,
            calls=waiting,
            expires_at=workflow.now() + timedelta(seconds=self._order.limits.approval_timeout),
            usage=self._usage,
        )
        self._enter("waiting", f"waits for approval of {', '.join(call.name for call in waiting)}")
        self._show("waiting")
        writing = workflow.execute_local_activity_method(LifecycleSteps.pause_run, self._pause, **presets.WRITE)
        self._pause = (
            await shielded.whole(writing)
        ).pause  # one that was written before a worker died keeps its expiry
        verdicts = await self._wait_for_decisions(self._pause)
        for call_id in verdicts:
            self._inbox.take_decision(call_id)
        self._pause = None
        self._turn += 1
        self._show("running")
        return verdicts

    async def _wait_for_decisions(self, pause: Pause) -> dict[str, Decision | None]:
        verdicts: dict[str, Decision | None] = {}
        while open_calls := [call.call_id for call in pause.calls if call.call_id not in verdicts]:
            if decision := self._inbox.first_of(open_calls):
                given = Verdicts.of(pause, decisions=[decision], resume=len(open_calls) == 1)
            elif not await self._decision_comes(pause, open_calls):
                given = Verdicts.of(pause, expired=open_calls, resume=True)
            else:
                continue
            written = await self._record(given)  # what was written before a worker died stands, whatever came since
            verdicts |= {word.call_id: word for word in written.decisions} | dict.fromkeys(written.expired)
        return verdicts

    async def _decision_comes(self, pause: Pause, open_calls: list[str]) -> bool:
        """Wait for a decision on one of the calls; false if the time ran out."""
        left = policy.seconds_until(pause.expires_at, workflow.now())
        try:
            await workflow.wait_condition(
                lambda: bool(self._inbox.decided(open_calls)), timeout=left, timeout_summary="the approval's expiry"
            )
        except TimeoutError:
            return False
        return True

    async def _record(self, verdicts: Verdicts) -> Verdicts:
        writing = workflow.execute_local_activity_method(LifecycleSteps.record_verdicts, verdicts, **presets.WRITE)
        return (await shielded.whole(writing)).verdicts

    async def _execute(self, reply: ModelReply, verdicts: Mapping[str, Decision | None]) -> bool:
        """Give every call of the message its result: run it, or answer it. False if a decision did not come in time."""
        early = {call.call_id: self._inbox.take_decision(call.call_id) for call in reply.message.calls}
        expired = frozenset(call_id for call_id, decision in verdicts.items() if decision is None)
        answers, calls = policy.settled(self._order, self._step, reply, {**early, **verdicts}, expired)
        in_time = not expired
        while left := await self._run_tools(answers, calls, reply.plans):
            verdicts = await self._ask_people(interruption.questions(left, reply.message)) if in_time else {}
            in_time = in_time and None not in verdicts.values()
            answers, calls = interruption.settled(left, verdicts)
        return in_time

    async def _run_tools(
        self, answers: list[Answer], calls: list[ToolCall], plans: Mapping[str, ToolPlan]
    ) -> list[Interrupted]:
        """Give these answers and run these calls, all at once; those of them that were begun and left."""
        self._enter("tools", f"running {', '.join(call.name for call in calls) or 'no tool'}")
        await self._answer(answers)
        ends = await asyncio.gather(*(self._run_tool(call, plans) for call in calls))
        await self._answer([end for end in ends if isinstance(end, Answer)])
        return [end for end in ends if isinstance(end, Interrupted)]

    async def _run_tool(self, call: ToolCall, plans: Mapping[str, ToolPlan]) -> Answer | Interrupted | None:
        """Run one call; the answer to give it if the tool's own activity failed for good."""
        options = presets.tool_call(call.name, plans[call.name].timeout)
        try:
            await workflow.execute_activity_method(ToolSteps.run_tool, call, **options)
        except ActivityError as error:
            if self._stopped():
                raise
            return _interrupted(call, error) or policy.tool_failed(call, _failed(error))
        return None

    async def _answer(self, answers: list[Answer]) -> None:
        if answers:
            given = Answers(run_id=self._order.run_id, step=self._step, answers=tuple(answers))
            writing = workflow.execute_local_activity_method(LifecycleSteps.answer_calls, given, **presets.WRITE)
            await shielded.whole(writing)

    def _enter(self, phase: Phase, details: str) -> None:
        self._phase = phase
        workflow.set_current_details(f"**{self._order.agent.name}** · step {self._step} · {details}")

    def _show(self, status: str, reason: str | None = None) -> None:
        """What the Web UI can list and search by."""
        workflow.upsert_search_attributes(attributes.standing(status, reason))  # pyright: ignore[reportUnknownMemberType] # untyped upstream

    async def _finish(self, outcome: Outcome) -> Outcome:
        """Write the end. The one that is returned is the one that was written first, in whatever life of this task."""
        self._pause = None
        self._enter("finishing", f"{outcome.status}: {outcome.stop_reason}")
        finish = Finish(
            run_id=self._order.run_id,
            turn=self._turn,
            outcome=outcome,
            usage=self._usage,
            acknowledged=self._acknowledged,
        )
        ending = workflow.execute_local_activity_method(LifecycleSteps.finish_run, finish, **presets.WRITE)
        finished, _too_late = await shielded.ended(ending)
        self._phase = "finished"
        self._show(finished.finish.outcome.status, finished.finish.outcome.stop_reason)
        return finished.finish.outcome


def _interrupted(call: ToolCall, error: ActivityError) -> Interrupted | None:
    """The call, if it was begun and left, so that a person must say what becomes of it."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type == "interrupted":
        return Interrupted(call, int(cause.details[0]), cause.message)
    return None


def _failed(error: ActivityError) -> Outcome:
    """The outcome of a step whose activity failed for good."""
    if isinstance(cause := error.cause, ApplicationError):
        return policy.failure(cause.type, cause.message)
    return policy.failure(None, str(cause or error))
