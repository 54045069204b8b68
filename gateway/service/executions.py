"""Which workflows are under way, and how those ended that could not write it into their log."""

from datetime import UTC, datetime

from longrun.gateway.service.workflows import ExecutionStatus, Workflows
from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.runs import Cancel, Outcome, StopReason

_RUNNING = "ExecutionStatus = 'Running'"
_ABRUPT = "('Terminated', 'TimedOut', 'Failed', 'Canceled')"
_ENDS: dict[ExecutionStatus, tuple[StopReason, str]] = {
    "terminated": ("terminated", "the workflow was terminated"),
    "timed_out": ("expired", "the workflow timed out"),
    "failed": ("error", "the workflow failed"),
    "completed": ("error", "the workflow ended without writing its end"),
}
VANISHED = Outcome(
    status="failed",
    stop_reason="terminated",
    error=ErrorInfo(type="terminated", message="Temporal does not know the run's workflow any more"),
)
"""The end of a run whose workflow Temporal does not know."""


class Executions:
    """Lists the executions of our workers, and finds the outcome of a run by its execution.

    Every method raises ``TemporalUnavailableError`` if Temporal did not answer.

    Args:
        workflows: Calls Temporal.
        queue: The task queue of our workers.
    """

    def __init__(self, workflows: Workflows, queue: str) -> None:
        self._workflows = workflows
        self._queue = queue

    async def abrupt_since(self, since: datetime) -> list[str]:
        """Runs whose workflows have ended since a time by terminate, time-out, failure or cancellation."""
        found = await self._list(f"ExecutionStatus IN {_ABRUPT} AND CloseTime > '{_moment(since)}'")
        return list(dict.fromkeys(run_id for run_id, _ in found))

    async def running(self) -> frozenset[str]:
        """Runs whose workflows are under way, as far as Temporal's list knows already."""
        return frozenset(run_id for run_id, _ in await self._list(_RUNNING))

    async def started_since(self, since: datetime | None) -> list[tuple[str, str]]:
        """Runs that are under way, each with its newest execution, which was started since a time."""
        return await self._list(f"{_RUNNING} AND StartTime > '{_moment(since)}'" if since else _RUNNING)

    async def _list(self, condition: str) -> list[tuple[str, str]]:
        queue = self._queue.replace("\\", r"\\").replace("'", r"\'")
        return await self._workflows.ids(f"TaskQueue = '{queue}' AND {condition}")

    async def of(self, run_id: str) -> Outcome | None:
        """The outcome of a run, as its workflow's last event tells it; ``None`` while that is under way."""
        execution = await self._workflows.describe(run_id)
        if execution is None:
            return VANISHED
        if not execution.closed:
            return None
        return _outcome(execution.status, await self._workflows.closing_reason(execution))


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _outcome(status: ExecutionStatus, reason: str) -> Outcome:
    if status == "canceled":
        return Outcome(status="cancelled", stop_reason="cancelled", cancel=Cancel(by="temporal"))
    stop_reason, what = _ENDS[status]
    message = f"{what}: {reason}" if reason else what
    return Outcome(status="failed", stop_reason=stop_reason, error=ErrorInfo(type=stop_reason, message=message))
