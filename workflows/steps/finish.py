"""Writing the end of a run."""

import asyncio
from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import FailureError

from longrun.workflows import activity_options, shielded
from longrun.workflows.contract.requests import Finish
from longrun.workflows.contract.runs import Outcome
from longrun.workflows.contract.steps import LifecycleSteps
from longrun.workflows.run import Run
from longrun.workflows.steps.display import enter, show_status
from longrun.workflows.steps.failures import application_error
from longrun.workflows.steps.ignored import note_ignored


async def finish(run: Run, outcome: Outcome, *, drains: bool = False) -> Outcome | None:
    """Write the end, whatever is cancelled meanwhile. The outcome that was written first is the one that counts.

    Args:
        run: The run.
        outcome: How it ends.
        drains: It does not end if something was said to it that is still on its way; ``None`` is returned then.
    """
    run.pause = None
    with suppress(asyncio.CancelledError):  # it has been written by then
        await note_ignored(run)
    enter(run, "finishing", f"{outcome.status}: {outcome.stop_reason}")
    end = Finish(
        run_id=run.order.run_id,
        turn=run.turn,
        outcome=outcome,
        usage=run.usage,
        acknowledged=run.acknowledged,
        drains=drains,
    )
    writing = workflow.execute_local_activity_method(LifecycleSteps.finish_run, end, **activity_options.WRITE)
    try:
        finished, _too_late = await shielded.ended(writing)
    except FailureError as error:
        raised = application_error(error)
        if drains and raised and raised.type == "messages_pending":
            return None
        raise
    written = finished.finish.outcome
    run.phase = "finished"
    show_status(written.status, written.stop_reason)
    return written
