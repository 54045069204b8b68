"""Rows of the store as the API answers them."""

from collections.abc import Iterable, Sequence

from longrun.store.db.tables import AgentRow, ApprovalRow, RunRow
from longrun.workflows.billing import bill
from longrun.workflows.contract.agents import AgentSpec
from longrun.workflows.contract.attempts import AttemptEntry
from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.messages import Usage
from longrun.workflows.contract.runs import Decision, PendingApproval, RunOrder
from longrun.workflows.contract.views import AgentView, ApprovalView, Links, RunDetails, RunView


def agent_view(row: AgentRow) -> AgentView:
    """A kept agent."""
    spec = AgentSpec.model_validate_json(row.spec)
    return AgentView(id=row.id, created_at=row.created_at, updated_at=row.updated_at, **dict(spec))


def approval_view(row: ApprovalRow) -> ApprovalView:
    """A call that waits, or waited, for a decision."""
    decision = Decision.model_validate_json(row.decision) if row.decision else None
    return ApprovalView.model_validate({**row.model_dump(), "decision": decision})


def run_view(row: RunRow, pending: Iterable[ApprovalRow]) -> RunView:
    """A run with the calls that wait."""
    order = RunOrder.model_validate_json(row.order)
    return RunView.model_validate(
        {
            **row.model_dump(include={"id", "thread_id", "status", "stop_reason", "step", "turn", "output"}),
            **row.model_dump(include={"created_at", "started_at", "ended_at"}),
            "agent": order.agent,
            "usage": Usage.model_validate_json(row.usage),
            "limits": order.limits,
            "metadata": order.metadata,
            "error": ErrorInfo.model_validate_json(row.error) if row.error else None,
            "pending_approvals": [PendingApproval.model_validate(each.model_dump()) for each in pending],
            "links": Links(stream=f"/api/runs/{row.id}/stream", events=f"/api/runs/{row.id}/events"),
        }
    )


def run_details(row: RunRow, pending: Iterable[ApprovalRow], attempts: Sequence[AttemptEntry]) -> RunDetails:
    """A run with the calls that wait, its attempts and what they cost."""
    cost = bill(attempts)
    more = {"attempts": attempts, "tokens_billed": cost.billed, "tokens_rebilled": cost.rebilled}
    return RunDetails.model_validate({**dict(run_view(row, pending)), **more})
