"""Runs as the API answers them."""

from longrun.gateway.service.run import Run
from longrun.gateway.services import Services
from longrun.workflows.billing import bill
from longrun.workflows.contract.views import Links, RunDetails, RunView


async def run_view(services: Services, run: Run) -> RunView:
    """A run with the calls that wait."""
    order = run.order
    return RunView(
        id=run.id,
        thread_id=order.thread_id,
        agent=order.agent,
        status=run.status,
        stop_reason=run.stop_reason,
        created_at=order.accepted_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
        step=run.step,
        turn=run.turn,
        usage=run.usage,
        limits=order.limits,
        metadata=order.metadata,
        output=run.output,
        error=run.error,
        pending_approvals=await services.reader.pending(run),
        links=Links(stream=f"/api/runs/{run.id}/stream", events=f"/api/runs/{run.id}/events"),
    )


async def run_details(services: Services, run: Run) -> RunDetails:
    """A run with the calls that wait, its attempts and what they cost."""
    attempts = tuple(await services.reader.attempts(run))
    cost = bill(attempts)
    return RunDetails(
        **dict(await run_view(services, run)),
        attempts=attempts,
        tokens_billed=cost.billed,
        tokens_rebilled=cost.rebilled,
    )
