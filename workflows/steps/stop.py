"""Whether a run must stop."""

from temporalio import workflow

from longrun.workflows.contract.runs import Cancel, Outcome
from longrun.workflows.policy import outcomes
from longrun.workflows.run import Run


def stopped(run: Run) -> Outcome | None:
    """The outcome of a run that must not go on: by its signal, its deadline, or Temporal's own cancellation."""
    if run.stop is None and (reason := workflow.cancellation_reason()) is not None:
        run.stop = outcomes.cancelled(Cancel(reason=reason or None, by="temporal"))
    return run.stop
