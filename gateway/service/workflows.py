"""The workflows of runs: started, signalled, queried, described and listed. Nothing else in the gateway does so."""

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Literal, cast

from temporalio.api.enums.v1 import EventType, TaskQueueType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, ListWorkflowExecutionsRequest
from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionDescription,
    WorkflowHistoryEventFilterType,
    WorkflowQueryFailedError,
)
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from longrun.gateway.history.gate import Gate
from longrun.gateway.history.reader import WORKFLOW_TYPE
from longrun.runtime.clock import now
from longrun.runtime.plain import PlainError
from longrun.runtime.temporal import (
    RPC_TIMEOUT,
    TemporalUnavailableError,
    WrongTemporalError,
    answered,
    missing_attributes,
    temporal_connection,
    unreachable,
)
from longrun.workflows.agent_run import AgentRun
from longrun.workflows.contract.runs import Cancel, Decision, RunOrder, Said, Snapshot
from longrun.workflows.contract.views import Availability
from longrun.workflows.search_attributes import AGENT_NAME, ATTRIBUTES
from longrun.workflows.start import start_run

ExecutionStatus = Literal["running", "completed", "failed", "canceled", "terminated", "continued_as_new", "timed_out"]

QUERY_TIMEOUT = timedelta(seconds=5)
"""For a worker's answer to a query: one that does not have the run in its cache reads its whole history first."""
_HEALTH_TIMEOUT = timedelta(seconds=2)
_PAGE = 1000
_POLLS_WITHIN = timedelta(seconds=75)
"""A poll waits for a minute, and counts from when it began."""


async def connect(retries: RetryConfig | None = None) -> Client:
    """A client of Temporal, where the environment says that it is; it connects with its first call."""
    return await Client.connect(**temporal_connection(), lazy=True, retry_config=retries)


@dataclass(frozen=True)
class Execution:
    """An execution of a run's workflow; of one that was ``reset``, another goes on. ``agent`` is the agent's name."""

    run_id: str
    execution_id: str
    status: ExecutionStatus
    agent: str
    reset: bool = False

    @property
    def closed(self) -> bool:
        """Whether the run's workflow has ended with this execution."""
        return self.status not in ("running", "continued_as_new") and not self.reset


class Workflows:
    """Calls Temporal; ``TemporalUnavailableError`` says that it did not answer.

    Args:
        client: A client of Temporal, which may be unavailable.
        gate: Whether the Temporal that answers is the store's; without it, any is.
    """

    def __init__(self, client: Client, gate: Gate | None = None) -> None:
        self._client = client
        self._gate = gate
        self._has_attributes = False

    async def start(self, order: RunOrder, task_queue: str) -> None:
        """Start the workflow of an accepted run; harmless to repeat.

        Raises:
            RPCError: Temporal refused.
        """
        await self._passed()
        with answered():
            await start_run(self._client, order, task_queue, RPC_TIMEOUT)

    async def signal(self, run_id: str, name: str, argument: Decision | Cancel | Said) -> None:
        """Signal the workflow of a run.

        Raises:
            RPCError: Temporal refused, or there is no such workflow under way.
        """
        await self._passed()
        try:
            with answered():
                await self._client.get_workflow_handle(run_id).signal(name, argument, rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                await self._passed_again()
            raise

    async def status(self, run_id: str) -> Snapshot | None:
        """The answer of a run's workflow to the query ``status``; ``None`` if no worker gives it.

        Raises:
            TemporalUnavailableError: There is no connection to Temporal.
        """
        handle = self._client.get_workflow_handle_for(AgentRun.run, run_id)
        try:
            return await handle.query(AgentRun.status, rpc_timeout=QUERY_TIMEOUT)
        except (RPCError, WorkflowQueryFailedError):
            return None
        except RuntimeError as error:
            raise unreachable(error) from error

    async def describe(self, run_id: str) -> Execution | None:
        """The newest execution of a run; ``None`` if Temporal knows no such run."""
        await self._passed()
        try:
            with answered():
                found = await self._client.get_workflow_handle(run_id).describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                await self._passed_again()
                return None
            raise
        return _execution(found)

    async def find(self, condition: str) -> list[Execution]:
        """All executions of runs for which a condition holds, as far as Temporal's visibility knows already."""
        await self._passed()
        with answered():
            found = self._client.list_workflows(_of_runs(condition), rpc_timeout=RPC_TIMEOUT)
            return [_execution(each) async for each in found]

    async def ids(self, condition: str) -> list[tuple[str, str]]:
        """As ``find``, only the run's id and the execution's: for many thousands, many times cheaper."""
        await self._passed()
        found: list[tuple[str, str]] = []
        page = b""
        while True:
            request = ListWorkflowExecutionsRequest(
                namespace=self._client.namespace, query=_of_runs(condition), page_size=_PAGE, next_page_token=page
            )
            with answered():
                listed = await self._client.workflow_service.list_workflow_executions(
                    request, retry=True, timeout=RPC_TIMEOUT
                )
            found += [(each.execution.workflow_id, each.execution.run_id) for each in listed.executions]
            if not (page := listed.next_page_token):
                return found

    async def closing_reason(self, execution: Execution) -> str:
        """The reason that the last event of a closed execution gives; empty if it gives none."""
        handle = self._client.get_workflow_handle(execution.run_id, run_id=execution.execution_id)
        with answered():
            events = handle.fetch_history_events(
                event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT, rpc_timeout=RPC_TIMEOUT
            )
            return "".join([_reason(event) async for event in events])

    async def availability(self) -> Availability:
        """Whether Temporal answers, and whether it is the store's."""
        try:
            with answered():
                healthy = await self._client.service_client.check_health(timeout=_HEALTH_TIMEOUT)
            await self._passed_again()
        except WrongTemporalError:
            return "another"
        except (RPCError, TemporalUnavailableError):
            return "unavailable"
        except PlainError:  # of the store, which says to whom it belongs
            return "ok"
        return "ok" if healthy else "unavailable"

    async def missing_attributes(self) -> tuple[str, ...]:
        """The search attributes that Temporal does not know; a run could not be started without them."""
        if self._has_attributes:
            return ()
        try:
            missing = await missing_attributes(self._client, (each.name for each in ATTRIBUTES), _HEALTH_TIMEOUT)
        except (RPCError, TemporalUnavailableError):
            return ()
        self._has_attributes = not missing
        return missing

    async def polled(self, task_queue: str) -> bool | None:
        """Whether a worker has polled a task queue lately; ``None`` if Temporal does not say."""
        request = DescribeTaskQueueRequest(
            namespace=self._client.namespace,
            task_queue=TaskQueue(name=task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
        try:
            with answered():
                found = await self._client.workflow_service.describe_task_queue(request, timeout=_HEALTH_TIMEOUT)
        except (RPCError, TemporalUnavailableError):
            return None
        since = now() - _POLLS_WITHIN
        return any(each.last_access_time.ToDatetime(UTC) > since for each in found.pollers)

    async def _passed(self) -> None:
        if self._gate:
            await self._gate.passed()

    async def _passed_again(self) -> None:
        if self._gate:
            await self._gate.passed_again()


def _of_runs(condition: str) -> str:
    return f"WorkflowType = '{WORKFLOW_TYPE}' AND {condition}"


def _execution(found: WorkflowExecution) -> Execution:
    described = isinstance(found, WorkflowExecutionDescription)
    return Execution(
        run_id=found.id,
        execution_id=found.run_id,
        status=cast("ExecutionStatus", found.status.name.lower() if found.status else "running"),
        agent=found.typed_search_attributes.get(AGENT_NAME) or "unknown",
        reset=described and bool(found.raw_description.workflow_extended_info.reset_run_id),
    )


def _reason(event: HistoryEvent) -> str:
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
        return event.workflow_execution_terminated_event_attributes.reason
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
        return event.workflow_execution_failed_event_attributes.failure.message
    return ""
