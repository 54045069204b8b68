"""Start, decide, cancel, say: the only file that talks to a run's workflow."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Literal
from weakref import WeakValueDictionary

from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from longrun.gateway.service.executions import Executions
from longrun.runtime.clock import now
from longrun.runtime.failpoints import reached
from longrun.runtime.temporal import RPC_TIMEOUT, TemporalUnavailableError, answered
from longrun.store.approvals import Approvals
from longrun.store.db.database import StoreUnavailableError
from longrun.store.db.tables import ApprovalRow, RunRow
from longrun.store.outbox import Outbox, Signal, SignalKind
from longrun.store.runs import Acceptance, Accepted, Runs
from longrun.workflows.agent_run import AgentRun
from longrun.workflows.contract.messages import Usage
from longrun.workflows.contract.requests import Finish
from longrun.workflows.contract.runs import FINAL, Cancel, Decision, Outcome, RunOrder, RunState, Said
from longrun.workflows.start import start_options

logger = logging.getLogger(__name__)

CONFIRMED_WITHIN = 5.0
"""Seconds that a decision's caller waits for the run to say which decision counted."""
_POLL = 0.02
_HOPELESS = frozenset({RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT})
"""Answers to a signal that would be the same the next time, and would hold up the signals behind it."""

Delivery = Literal["delivered", "accepted", "over"]
"""What became of a signal: the workflow has it; it is kept until Temporal answers; the workflow has ended."""


class AlreadyDecidedError(Exception):
    """Another decision came first.

    Args:
        decision: That one, as far as it is known.
    """

    def __init__(self, decision: Decision | None, status: str) -> None:
        super().__init__(f"the call is already {status}")
        self.decision = decision
        self.status = status


class RunOverError(Exception):
    """The run has ended, so nothing can be said to it."""


@dataclass(eq=False)
class _Line:
    """Those who have something to send to one run, one after the other; ``stuck`` if the last one could not."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    stuck: bool = False


class RunService:
    """What a door can ask of a run.

    Outbox of one run arrive in the order in which they were accepted: whoever sends one first sends what waits before
    it, whichever gateway took that. A signal may so be sent twice, which the run does not notice.

    Args:
        client: The way to Temporal, which may be away.
        queue: The task queue of the workers.
        runs: The store's runs.
        approvals: The store's approvals.
        signals: The outbox.
    """

    def __init__(self, client: Client, queue: str, runs: Runs, approvals: Approvals, signals: Outbox) -> None:
        self._client = client
        self._queue = queue
        self._runs = runs
        self._approvals = approvals
        self._signals = signals
        self.executions = Executions(client, queue)
        self._starting: set[asyncio.Task[None]] = set()
        self._lines: WeakValueDictionary[str, _Line] = WeakValueDictionary()

    async def start(self, acceptance: Acceptance) -> Accepted:
        """Accept a run; its workflow is started in the background, by the reconciler if Temporal is away.

        Raises:
            KeyReusedError: The idempotency key was used with another body.
            ThreadBusyError: The thread is busy, and the caller did not want to wait.
            StoreUnavailableError: The store failed; nothing was accepted.
        """
        accepted = await self._runs.accept(acceptance)
        reached("run accepted")
        if accepted.ready and accepted.created:
            task = asyncio.create_task(self._start_soon(acceptance.order))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)
        return accepted

    async def _start_soon(self, order: RunOrder) -> None:
        try:
            await self.dispatch(order)
        except (RPCError, TemporalUnavailableError, StoreUnavailableError) as error:
            logger.warning("run %s waits: %s", order.run_id, error)

    async def dispatch(self, order: RunOrder) -> None:
        """Start the workflow of an accepted run; harmless to repeat.

        Raises:
            RPCError: Temporal refused.
            TemporalUnavailableError: Temporal did not answer.
        """
        try:
            with answered():
                await self._client.start_workflow(
                    AgentRun.run,
                    RunState(order=order),
                    task_queue=self._queue,
                    rpc_timeout=RPC_TIMEOUT,
                    **start_options(order),
                )
        except WorkflowAlreadyStartedError:
            logger.info("run %s has run already", order.run_id)
        await self._runs.dispatched(order.run_id)

    async def cancel(self, row: RunRow, cancel: Cancel) -> Delivery:
        """Ask a run to end; one that waits for its thread ends at once.

        Raises:
            StoreUnavailableError: The store failed; nothing was accepted.
        """
        if row.status in FINAL:
            return "over"
        outcome = Outcome(status="cancelled", stop_reason="cancelled", cancel=cancel)
        finish = Finish(run_id=row.id, turn=row.turn, outcome=outcome, usage=Usage())
        if row.status == "queued" and await self._runs.finish_queued(finish, now()):
            return "delivered"
        return await self._send(row.id, f"cancel:{row.id}", "cancel", cancel.model_dump_json(exclude_none=True))

    async def say(self, row: RunRow, said: Said) -> Delivery:
        """Add a user's words to a run; they join at its next step.

        Raises:
            RunOverError: The run has ended.
            StoreUnavailableError: The store failed; nothing was accepted.
        """
        if row.status in FINAL:
            raise RunOverError(f"run {row.id} is {row.status}")
        return await self._send(row.id, f"say:{row.id}:{said.id}", "say", said.model_dump_json(exclude_none=True))

    async def decide(self, run_id: str, decision: Decision) -> ApprovalRow | None:
        """Decide a call, and wait a little for the run to say that it counts.

        Returns:
            The approval as decided, or ``None`` if the run has not said so yet: the decision is kept and delivered.

        Raises:
            AlreadyDecidedError: Another decision came first.
            StoreUnavailableError: The store failed; nothing was accepted.
        """
        body = decision.model_dump_json(exclude_none=True)
        kept = await self._signals.accept(Signal(run_id, f"decide:{run_id}:{decision.call_id}", "decide", body), now())
        if kept.body != body:
            raise AlreadyDecidedError(Decision.model_validate_json(kept.body), "decided")
        reached("decision accepted")
        told = await self._deliver(kept) != "accepted"
        return await self._confirmed(run_id, decision, told=told)

    async def _confirmed(self, run_id: str, decision: Decision, *, told: bool) -> ApprovalRow | None:
        try:
            async with asyncio.timeout(CONFIRMED_WITHIN):
                while True:
                    found = await self._approvals.find(run_id=run_id, call_id=decision.call_id)
                    if not found:
                        return None  # the call is not known yet: the run keeps the decision
                    if found[0].status != "pending":
                        return _mine(found[0], decision)
                    if not told:
                        return None
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            return None

    async def _send(self, run_id: str, key: str, kind: SignalKind, body: str) -> Delivery:
        signal = await self._signals.accept(Signal(run_id, key, kind, body), now())
        if kind == "cancel":
            reached("cancel accepted")
        return await self._deliver(signal)

    async def _deliver(self, signal: Signal) -> Delivery:
        try:
            return await self.deliver(signal.run_id, signal)
        except (RPCError, TemporalUnavailableError, StoreUnavailableError) as error:
            logger.warning("%s waits: %s", signal.key, error)
            return "accepted"

    async def deliver(self, run_id: str, last: Signal | None = None) -> Delivery:
        """Send what waits for a run, in order; what became of ``last``, or of all.

        Args:
            run_id: The run.
            last: A signal of its outbox. One that was delivered before is sent again: the run may have been reset.

        Raises:
            RPCError: Temporal refused.
            TemporalUnavailableError: Temporal did not answer.
            StoreUnavailableError: The store failed.
        """
        line = self._lines.setdefault(run_id, _Line())
        waited = line.turn.locked()
        async with line.turn:
            if waited and line.stuck:
                return "accepted"
            line.stuck = True
            delivery = await self._send_waiting(run_id, last)
            line.stuck = delivery == "accepted"
            return delivery

    async def _send_waiting(self, run_id: str, last: Signal | None) -> Delivery:
        waiting = await self._signals.undelivered_of(run_id)
        if last and last not in waiting:
            waiting.append(last)
        found: Delivery = "delivered"
        for signal in waiting:
            delivery = await self._signal(signal)
            if delivery == "accepted":
                return delivery
            if signal == last:
                found = delivery
        return found

    async def _signal(self, signal: Signal) -> Delivery:
        handle = self._client.get_workflow_handle(signal.run_id)
        argument = {"decide": Decision, "cancel": Cancel, "say": Said}[signal.kind].model_validate_json(signal.body)
        delivery: Delivery = "delivered"
        try:
            with answered():
                await handle.signal(signal.kind, argument, rpc_timeout=RPC_TIMEOUT)
            if signal.kind == "decide":
                reached("decision delivered")
        except RPCError as error:
            if error.status not in _HOPELESS:
                raise
            row = await self._runs.get(signal.run_id)
            if row is not None and not row.dispatched and row.status not in FINAL:
                return "accepted"  # its workflow is yet to be started
            logger.warning("%s is given up: %s", signal.key, error.message)
            delivery = "over"
        await self._signals.delivered(signal.key, now())
        return delivery


def _mine(approval: ApprovalRow, decision: Decision) -> ApprovalRow:
    counted = Decision.model_validate_json(approval.decision) if approval.decision else None
    if counted is None or counted.id != decision.id:
        raise AlreadyDecidedError(counted, approval.status)
    return approval
