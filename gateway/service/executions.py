"""How workflows ended that could not say it themselves, and which ones there are: asked of Temporal."""

from datetime import UTC, datetime

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHistoryEventFilterType
from temporalio.service import RPCError, RPCStatusCode

from longrun.gateway.history.reader import WORKFLOW_TYPE
from longrun.runtime.temporal import RPC_TIMEOUT, answered
from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.runs import Cancel, Outcome, StopReason

_MOST = 1000
_RUNNING = "ExecutionStatus = 'Running'"
_ABRUPT = "('Terminated', 'TimedOut', 'Failed', 'Canceled')"
_HOW: dict[WorkflowExecutionStatus, tuple[StopReason, str]] = {
    WorkflowExecutionStatus.TERMINATED: ("terminated", "the workflow was terminated"),
    WorkflowExecutionStatus.TIMED_OUT: ("expired", "the workflow timed out"),
    WorkflowExecutionStatus.FAILED: ("error", "the workflow failed"),
}
VANISHED = Outcome(
    status="failed",
    stop_reason="terminated",
    error=ErrorInfo(type="terminated", message="Temporal does not know the run's workflow any more"),
)
"""The end of a run whose workflow is gone."""


class Executions:
    """Asks Temporal.

    Args:
        client: The way to Temporal, which may be away.
        queue: The task queue of our workers.
    """

    def __init__(self, client: Client, queue: str) -> None:
        self._client = client
        self._queue = queue

    async def abrupt_since(self, since: datetime) -> list[str]:
        """Runs whose workflows have ended since a time without their own doing.

        Raises:
            TemporalUnavailableError: Temporal did not answer.
        """
        moment = _moment(since)
        return list(dict(await self._list(f"ExecutionStatus IN {_ABRUPT} AND CloseTime > '{moment}'")))

    async def running(self) -> list[str]:
        """Runs whose workflows are under way.

        Raises:
            TemporalUnavailableError: Temporal did not answer.
        """
        return list(dict(await self._list(_RUNNING)))

    async def started_since(self, since: datetime | None) -> list[tuple[str, str]]:
        """Runs that are under way, each with its newest execution, which was started since a time.

        Raises:
            TemporalUnavailableError: Temporal did not answer.
        """
        return await self._list(f"{_RUNNING} AND StartTime > '{_moment(since)}'" if since else _RUNNING)

    async def _list(self, condition: str) -> list[tuple[str, str]]:
        queue = self._queue.replace("\\", r"\\").replace("'", r"\'")
        query = f"WorkflowType = '{WORKFLOW_TYPE}' AND TaskQueue = '{queue}' AND {condition}"
        with answered():
            found = self._client.list_workflows(query, limit=_MOST, rpc_timeout=RPC_TIMEOUT)
            return [(execution.id, execution.run_id) async for execution in found]

    async def of(self, run_id: str) -> Outcome | None:
        """What to write down as a run's end; ``None`` while its workflow goes on.

        Raises:
            TemporalUnavailableError: Temporal did not answer.
        """
        handle = self._client.get_workflow_handle(run_id)
        try:
            with answered():
                found = await handle.describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return VANISHED
            raise
        running = found.status in (None, WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW)
        if running or found.raw_description.workflow_extended_info.reset_run_id:
            return None
        return _outcome(found.status, await self._reason(run_id, found.run_id))

    async def _reason(self, run_id: str, execution: str) -> str:
        """What the last event says about why."""
        handle = self._client.get_workflow_handle(run_id, run_id=execution)
        with answered():
            events = handle.fetch_history_events(
                event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT, rpc_timeout=RPC_TIMEOUT
            )
            return "".join([_said(event) async for event in events])


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _said(event: HistoryEvent) -> str:
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
        return event.workflow_execution_terminated_event_attributes.reason
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
        return event.workflow_execution_failed_event_attributes.failure.message
    return ""


def _outcome(status: WorkflowExecutionStatus | None, reason: str) -> Outcome:
    if status is WorkflowExecutionStatus.CANCELED:
        return Outcome(status="cancelled", stop_reason="cancelled", cancel=Cancel(by="temporal"))
    unsaid: tuple[StopReason, str] = ("error", "the workflow ended without writing its end")
    stop_reason, what = _HOW.get(status, unsaid) if status else unsaid
    message = f"{what}: {reason}" if reason else what
    return Outcome(status="failed", stop_reason=stop_reason, error=ErrorInfo(type=stop_reason, message=message))
