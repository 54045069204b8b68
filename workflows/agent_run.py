"""A run as Temporal executes it: one loop, one step. The only file with workflow calls."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError

from workflows import policy
from workflows.contract.messages import ToolCallPart
from workflows.contract.runs import (
    Cancel,
    Decision,
    Outcome,
    PendingApproval,
    Phase,
    RunState,
    Said,
    Snapshot,
)
from workflows.contract.steps import (
    Answer,
    Answers,
    Finish,
    LifecycleSteps,
    ModelCall,
    ModelReply,
    ModelSteps,
    Pause,
    ToolCall,
    ToolPlan,
    ToolSteps,
    Verdicts,
)

RUN_STATUS = SearchAttributeKey.for_keyword("RunStatus")
STOP_REASON = SearchAttributeKey.for_keyword("StopReason")
HEARTBEAT = timedelta(seconds=5)
MODEL_LIMIT = timedelta(hours=1)
TOOL_GRACE = timedelta(seconds=30)
MOST_EARLY_DECISIONS = 1000

_MODEL_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1), maximum_attempts=10
)
_TOOL_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10), maximum_attempts=5
)
_WRITE = workflow.LocalActivityConfig(
    start_to_close_timeout=timedelta(seconds=30),
    retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10)),
)


@workflow.defn(name="AgentRun")
class AgentRun:
    """One agent run. Signals only set state; what they mean is decided in the loop and in ``policy``."""

    @workflow.init
    def __init__(self, state: RunState) -> None:
        self._order = state.order
        self._began = state.began or workflow.now()
        self._step = state.step
        self._leg = state.leg
        self._usage = state.usage
        self._heard = list(state.heard)
        self._heard_ids = dict.fromkeys(state.heard_ids)
        self._decisions = {decision.call_id: decision for decision in state.decisions}
        self._pending: dict[str, PendingApproval] = {}
        self._expires_at: datetime | None = None
        self._phase: Phase = "starting"
        self._stop: Outcome | None = None
        self._work: asyncio.Task[Outcome | None] | None = None

    @workflow.run
    async def run(self, state: RunState) -> Outcome:  # noqa: ARG002 - __init__ has read it
        """Step until there is an outcome, write it down, and return it."""
        outcome = await self._until_outcome()
        if outcome is None:
            workflow.continue_as_new(self._carried())
        return await self._finish(outcome)

    @workflow.signal
    def decide(self, decision: Decision) -> None:
        """A reviewer's word on a call; the first one counts, and one that comes before its call is kept."""
        if len(self._decisions) < MOST_EARLY_DECISIONS:
            self._decisions.setdefault(decision.call_id, decision)

    @workflow.signal
    def cancel(self, cancel: Cancel) -> None:
        """End the run now."""
        self._halt(Outcome(status="cancelled", stop_reason="cancelled", cancel=cancel))

    @workflow.signal
    def say(self, said: Said) -> None:
        """A user's words, for the next step."""
        if said.id is None or said.id not in self._heard_ids:
            self._heard.append(said)
            self._heard_ids.update({said.id: None} if said.id else {})

    @workflow.query
    def status(self) -> Snapshot:
        """Where the run stands."""
        return Snapshot(
            run_id=self._order.run_id,
            phase=self._phase,
            step=self._step,
            leg=self._leg,
            pending=tuple(self._pending.values()),
            decided=tuple(d for call_id, d in self._decisions.items() if call_id in self._pending),
            expires_at=self._expires_at,
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
        reason = workflow.cancellation_reason()
        if self._stop is None and reason is not None:
            cancel = Cancel(reason=reason or None, by="temporal")
            self._stop = Outcome(status="cancelled", stop_reason="cancelled", cancel=cancel)
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
            raise
        except ActivityError as error:
            return self._stopped() or _failed(error)
        finally:
            deadline.cancel()

    async def _watch_deadline(self) -> None:
        left = policy.seconds_left(self._order.limits, self._began, workflow.now())
        if left is not None:
            await workflow.sleep(left, summary="the run's deadline")
            self._halt(policy.PAST_DEADLINE)

    async def _loop(self) -> Outcome | None:
        """Step until an outcome; ``None`` when the history has become long enough for a new one."""
        while True:
            outcome = policy.limit_reached(self._order.limits, self._step) or await self._next_step()
            if outcome := self._stopped() or outcome:
                return outcome
            if workflow.info().is_continue_as_new_suggested():
                return None

    async def _next_step(self) -> Outcome | None:
        """Ask the model, interpret, gate, execute; ``None`` to go on."""
        reply = await self._ask()
        calls = reply.message.calls
        if outcome := self._stopped() or policy.after_reply(reply.finish_reason, calls=bool(calls)):
            goes_on = outcome.stop_reason == "end_turn" and self._heard
            return None if goes_on else outcome
        expired = await self._gate(reply)
        await self._execute(reply, expired)
        return policy.APPROVAL_EXPIRED if expired else None

    async def _ask(self) -> ModelReply:
        said, self._heard = tuple(self._heard), []
        self._step += 1
        self._enter("model", f"step {self._step}: asking {self._order.agent.model}")
        reply = await workflow.execute_activity_method(
            ModelSteps.call_model,
            ModelCall(run_id=self._order.run_id, step=self._step, said=said),
            start_to_close_timeout=MODEL_LIMIT,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=_MODEL_RETRIES,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=self._order.agent.model,
        )
        self._usage += reply.usage
        return reply

    async def _gate(self, reply: ModelReply) -> frozenset[str]:
        """Wait until every call that needs a person has a decision; the calls whose time ran out are returned."""
        reasons = policy.gated(self._order.agent, reply.plans, reply.message.calls)
        if not reasons:
            return frozenset()
        self._pending = {
            call.call_id: PendingApproval(
                call_id=call.call_id,
                name=call.name,
                arguments=call.arguments,
                step=self._step,
                reason=reasons[call.call_id],
            )
            for call in reply.message.calls
            if call.call_id in reasons
        }
        await self._pause()
        expired = await self._wait_for_decisions()
        self._pending, self._expires_at = {}, None
        self._leg += 1
        workflow.upsert_search_attributes([RUN_STATUS.value_set("running")])
        return expired

    async def _pause(self) -> None:
        self._expires_at = workflow.now() + timedelta(seconds=self._order.limits.approval_timeout)
        pause = Pause(
            run_id=self._order.run_id,
            step=self._step,
            leg=self._leg,
            calls=tuple(self._pending.values()),
            expires_at=self._expires_at,
            usage=self._usage,
        )
        names = ", ".join(call.name for call in pause.calls)
        self._enter("waiting", f"step {self._step}: waits for approval of {names}")
        workflow.upsert_search_attributes([RUN_STATUS.value_set("waiting")])
        await workflow.execute_local_activity_method(LifecycleSteps.pause_run, pause, **_WRITE)

    async def _wait_for_decisions(self) -> frozenset[str]:
        recorded: set[str] = set()
        while recorded != set(self._pending):
            fresh = [call_id for call_id in self._pending if call_id in self._decisions and call_id not in recorded]
            if fresh:
                await self._record(tuple(fresh), recorded)
            elif expired := await self._expired(recorded):
                return expired
        return frozenset()

    async def _record(self, fresh: tuple[str, ...], recorded: set[str]) -> None:
        decisions = tuple(self._decisions[call_id] for call_id in fresh)
        recorded.update(fresh)
        await self._write_verdicts(decisions, (), resume=recorded == set(self._pending))

    async def _expired(self, recorded: set[str]) -> frozenset[str]:
        """Wait for one more decision; the undecided calls if the time ran out instead."""
        known = len(self._decisions)
        left = ((self._expires_at or workflow.now()) - workflow.now()).total_seconds()
        try:
            await workflow.wait_condition(
                lambda: len(self._decisions) > known, timeout=max(0.0, left), timeout_summary="the approval's expiry"
            )
        except TimeoutError:
            expired = tuple(call_id for call_id in self._pending if call_id not in recorded)
            await self._write_verdicts((), expired, resume=True)
            return frozenset(expired)
        return frozenset()

    async def _write_verdicts(self, decisions: tuple[Decision, ...], expired: tuple[str, ...], *, resume: bool) -> None:
        verdicts = Verdicts(
            run_id=self._order.run_id,
            step=self._step,
            leg=self._leg,
            decisions=decisions,
            expired=expired,
            resume=resume,
        )
        await workflow.execute_local_activity_method(LifecycleSteps.record_verdicts, verdicts, **_WRITE)

    async def _execute(self, reply: ModelReply, expired: frozenset[str]) -> None:
        """Give every call of the message its result: run it, or answer it."""
        self._enter("tools", f"step {self._step}: running {', '.join(call.name for call in reply.message.calls)}")
        answers: list[Answer] = []
        approved: list[ToolCall] = []
        for call in reply.message.calls:
            decision = self._decisions.pop(call.call_id, None)
            known = call.name in reply.plans and policy.may_call(self._order.agent, call.name)
            answer = policy.answer_without_running(
                call, known=known, decision=decision, expired=call.call_id in expired
            )
            if answer:
                answers.append(answer)
            else:
                approved.append(self._tool_call(call, decision))
        await self._answer(answers)
        failed = await asyncio.gather(*(self._run_tool(call, reply.plans) for call in approved))
        await self._answer([answer for answer in failed if answer])

    def _tool_call(self, call: ToolCallPart, decision: Decision | None) -> ToolCall:
        return ToolCall(
            run_id=self._order.run_id,
            step=self._step,
            call_id=call.call_id,
            name=call.name,
            args=decision.args if decision and decision.decision == "edit" else None,
        )

    async def _run_tool(self, call: ToolCall, plans: Mapping[str, ToolPlan]) -> Answer | None:
        """Run one call; the answer to give it if the tool's own activity failed for good."""
        try:
            await workflow.execute_activity_method(
                ToolSteps.run_tool,
                call,
                start_to_close_timeout=timedelta(seconds=plans[call.name].timeout) + TOOL_GRACE,
                heartbeat_timeout=HEARTBEAT,
                retry_policy=_TOOL_RETRIES,
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                summary=call.name,
            )
        except ActivityError as error:
            if self._stopped():
                raise
            content = f"The tool failed: {_failed(error).error}"
            return Answer(call_id=call.call_id, name=call.name, status="error", content=content)
        return None

    async def _answer(self, answers: list[Answer]) -> None:
        if answers:
            given = Answers(run_id=self._order.run_id, step=self._step, answers=tuple(answers))
            await workflow.execute_local_activity_method(LifecycleSteps.answer_calls, given, **_WRITE)

    def _enter(self, phase: Phase, details: str) -> None:
        self._phase = phase
        workflow.set_current_details(f"**{self._order.agent.name}** · {details}")

    def _carried(self) -> RunState:
        order = self._order
        slim = order.model_copy(
            update={
                "input": order.input.model_copy(update={"parts": ()}),
                "agent": order.agent.model_copy(update={"system": ""}),
                "metadata": {},
            }
        )
        return RunState(
            order=slim,
            began=self._began,
            step=self._step,
            leg=self._leg,
            usage=self._usage,
            decisions=tuple(self._decisions.values()),
            heard=tuple(self._heard),
            heard_ids=tuple(self._heard_ids),
        )

    async def _finish(self, outcome: Outcome) -> Outcome:
        """Write the end. A cancel that comes now is too late, so it must not tear this."""
        self._enter("finishing", f"{outcome.status}: {outcome.stop_reason}")
        finish = Finish(run_id=self._order.run_id, leg=self._leg, outcome=outcome, usage=self._usage)
        writing = asyncio.create_task(self._write_end(finish))
        while not writing.done():
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                continue
        writing.result()
        self._phase = "finished"
        workflow.upsert_search_attributes(
            [RUN_STATUS.value_set(outcome.status), STOP_REASON.value_set(outcome.stop_reason)]
        )
        return outcome

    async def _write_end(self, finish: Finish) -> None:
        await workflow.execute_local_activity_method(LifecycleSteps.finish_run, finish, **_WRITE)


def _failed(error: ActivityError) -> Outcome:
    """The outcome of a step whose activity failed for good."""
    cause = error.cause
    return policy.failure(cause.type if isinstance(cause, ApplicationError) else None, str(cause or error))
