"""Reads a run's history from Temporal, execution by execution, and keeps what its activities returned."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.converter import WorkflowSerializationContext
from temporalio.service import RPCError, RPCStatusCode

from longrun.gateway.history.decoder import BlobReader, ExecutionDecoder
from longrun.gateway.history.gate import Gate
from longrun.gateway.history.results import Results
from longrun.runtime.temporal import RPC_TIMEOUT, answered

WORKFLOW_TYPE = "AgentRun"


@dataclass(frozen=True)
class Tip:
    """The newest execution of a run's chain. ``length`` is the number of its events, ``first`` the chain's first one.

    ``idle`` says that it waits, and none of its activities is under way.
    """

    execution: str
    length: int
    first: str
    status: WorkflowExecutionStatus | None
    idle: bool

    @property
    def over(self) -> bool:
        """Whether the workflow has ended."""
        return self.status is not WorkflowExecutionStatus.RUNNING


class HistoryReader:
    """Reads histories of runs.

    Args:
        client: The connection to Temporal.
        blobs: Finds what is too large for history.
        gate: Whether the Temporal that answers is the store's; without it, any is.
    """

    def __init__(self, client: Client, blobs: BlobReader | None = None, gate: Gate | None = None) -> None:
        self._client = client
        self._blobs = blobs
        self._gate = gate

    async def tip(self, run_id: str) -> Tip | None:
        """The newest execution of a run's chain; ``None`` if Temporal knows no such run.

        Raises:
            TemporalUnavailableError: Temporal did not answer.
        """
        if self._gate:
            await self._gate.passed()
        handle = self._client.get_workflow_handle(run_id)
        try:
            with answered():
                found = await handle.describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
                if self._gate:
                    await self._gate.passed_again()
                return None
            raise
        return _tip(found) if found.workflow_type == WORKFLOW_TYPE else None

    async def results(self, run_id: str, tip: Tip) -> Results:
        """What the executions of the chain kept that count, oldest first.

        Raises:
            TemporalUnavailableError: Temporal did not answer.
        """
        context = WorkflowSerializationContext(namespace=self._client.namespace, workflow_id=run_id)
        results = Results(run_id)
        converter = self._client.data_converter.with_context(context)
        results.executions = await self._chain(run_id, tip)
        for execution in results.executions:
            decoder = ExecutionDecoder(converter, results, self._blobs)
            async with aclosing(self._events(run_id, execution)) as events:
                async for event in events:
                    await decoder.take(event)
        return results

    async def _chain(self, run_id: str, tip: Tip) -> list[str]:
        """The executions that count, oldest first.

        An execution that was reset goes on in another one, which has a copy of what stands of it, and the same
        predecessor. So no way leads back to it.
        """
        chain = [tip.execution]
        while chain[0] != tip.first and (before := await self._predecessor(run_id, chain[0])):
            chain.insert(0, before)
        return chain

    async def _predecessor(self, run_id: str, execution: str) -> str | None:
        """The execution that was continued as this one."""
        async with aclosing(self._events(run_id, execution, 1)) as events:
            async for event in events:
                return event.workflow_execution_started_event_attributes.continued_execution_run_id or None
        return None

    async def _events(self, run_id: str, execution: str, page: int | None = None) -> AsyncGenerator[HistoryEvent]:
        """The events of one execution; none if it is no longer kept."""
        handle = self._client.get_workflow_handle(run_id, run_id=execution)
        pages = handle.fetch_history_events(page_size=page, rpc_timeout=RPC_TIMEOUT)
        while True:
            try:
                with answered():
                    await pages.fetch_next_page()
            except RPCError as error:
                if error.status == RPCStatusCode.NOT_FOUND:
                    return
                raise
            for event in pages.current_page or ():
                yield event
            if pages.next_page_token is None:
                return


def _tip(found: WorkflowExecutionDescription) -> Tip:
    raw = found.raw_description
    info = raw.workflow_execution_info
    return Tip(
        execution=found.run_id,
        length=found.history_length,
        first=info.first_run_id or found.run_id,
        status=found.status,
        idle=not raw.pending_activities and not raw.HasField("pending_workflow_task"),
    )
