"""What the Web UI shows of a run: the details of its workflow, and its search attributes."""

from temporalio import workflow

from longrun.workflows import search_attributes
from longrun.workflows.contract.runs import Phase
from longrun.workflows.run import Run


def enter(run: Run, phase: Phase, details: str) -> None:
    """Enter a phase, and show it."""
    run.phase = phase
    workflow.set_current_details(f"**{run.order.agent.name}** · step {run.step} · {details}")


def show_status(status: str, stop_reason: str | None = None) -> None:
    """Show the status that runs can be listed and searched by."""
    updates = search_attributes.status_updates(status, stop_reason)
    workflow.upsert_search_attributes(updates)  # pyright: ignore[reportUnknownMemberType] # untyped upstream
