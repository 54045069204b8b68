"""Starting, cancelling and speaking to runs."""

import asyncio
import logging
from dataclasses import dataclass

from temporalio.service import RPCError

from longrun.gateway.service.delivery import Delivery, Fate
from longrun.gateway.service.errors import LARGEST_ORDER, KeyReusedError, RunOverError, TooLargeError
from longrun.gateway.service.executions import Executions
from longrun.gateway.service.run import Run
from longrun.gateway.service.workflows import Workflows
from longrun.runtime.clock import now
from longrun.runtime.failpoints import reached
from longrun.runtime.temporal import TemporalUnavailableError
from longrun.store.db.database import StoreUnavailableError
from longrun.store.outbox import Signal, TooLateError
from longrun.store.runs import Acceptance, Runs
from longrun.workflows import record
from longrun.workflows.contract.messages import Usage
from longrun.workflows.contract.requests import Finish
from longrun.workflows.contract.runs import Cancel, Outcome, RunOrder, RunState, Said
from longrun.workflows.contract.sizes import size_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Started:
    """A run that was accepted, now (``created``) or earlier with the same idempotency key."""

    run: Run
    created: bool


class RunService:
    """Starts runs and signals them. If the store fails, ``StoreUnavailableError`` says that nothing was accepted.

    Args:
        workflows: Calls Temporal.
        queue: The task queue of the workers.
        runs: The store's runs.
        delivery: Delivers signals.
    """

    def __init__(self, workflows: Workflows, queue: str, runs: Runs, delivery: Delivery) -> None:
        self.executions = Executions(workflows, queue)
        self._workflows = workflows
        self._queue = queue
        self._runs = runs
        self._delivery = delivery
        self._starting: set[asyncio.Task[None]] = set()

    async def start(self, acceptance: Acceptance) -> Started:
        """Accept a run; its workflow is started in the background, by the reconciler if Temporal is unavailable.

        Raises:
            KeyReusedError: The idempotency key was used with another body.
            ThreadBusyError: The thread is busy, and the caller did not want to wait.
            TooLargeError: It would not fit into Temporal.
        """
        _fits(acceptance.order)
        accepted = await self._runs.accept(acceptance)
        reached("run accepted")
        if accepted.created:
            if accepted.ready:
                self._start_soon(acceptance.order)
            return Started(Run(acceptance.order), created=True)
        row = await self._runs.get(accepted.run_id)
        if row is None:
            raise LookupError(f"run {accepted.run_id} was accepted and is not there")
        return Started(Run.of(row), created=False)

    def _start_soon(self, order: RunOrder) -> None:
        task = asyncio.create_task(self._try_to_dispatch(order))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _try_to_dispatch(self, order: RunOrder) -> None:
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
        await self._workflows.start(order, self._queue)
        await self._runs.dispatched(order.run_id)

    async def missing_attributes(self) -> tuple[str, ...]:
        """The search attributes that Temporal does not know, without which it starts no run."""
        return await self._workflows.missing_attributes()

    async def cancel(self, run: Run, cancel: Cancel) -> Fate:
        """Ask a run to end; one that waits for its thread ends at once."""
        if run.over:
            return "over"
        outcome = Outcome(status="cancelled", stop_reason="cancelled", cancel=cancel)
        finish = Finish(run_id=run.id, turn=run.turn, outcome=outcome, usage=Usage())
        if run.status == "queued" and await self._runs.finish_queued(finish, now()):
            return "delivered"
        body = cancel.model_dump_json(exclude_none=True)
        signal = await self._delivery.accept(Signal(run.id, f"cancel:{run.id}", "cancel", body))
        reached("cancel accepted")
        return await self._delivery.send(signal)

    async def say(self, run: Run, said: Said) -> Fate:
        """Send a user's message to a run, which joins the conversation at its next step.

        Raises:
            RunOverError: The run has ended.
            KeyReusedError: The message's id was used for another one.
            TooManySaidError: Too many messages wait for its next step.
        """
        if run.over:
            raise RunOverError(f"run {run.id} is {run.status}")
        body = said.model_dump_json(exclude_none=True)
        try:
            signal = await self._delivery.accept(Signal(run.id, record.say_key(run.id, said), "say", body))
        except TooLateError as error:
            raise RunOverError(str(error)) from error
        if signal.body != body:
            raise KeyReusedError(f"the id {said.id} was used for another message to run {run.id}")
        return await self._delivery.send(signal)


def _fits(order: RunOrder) -> None:
    size = size_of(RunState(order=order))
    if size > LARGEST_ORDER:
        agent = order.agent
        parts = {
            "input": size_of(order.input),
            "agent.system": size_of(agent.system),
            "agent.tools": size_of(agent.model_copy(update={"system": ""})),
        }
        raise TooLargeError(max(parts, key=lambda part: parts[part]), size)
