"""Saying in the log which signals were ignored."""

from temporalio import workflow
from temporalio.exceptions import FailureError

from longrun.workflows.contract.requests import Ignore
from longrun.workflows.contract.steps import LifecycleSteps
from longrun.workflows.run import Run
from longrun.workflows.steps.write import write


async def note_ignored(run: Run) -> None:
    """Write down the signals that were ignored since the last time, if there are any."""
    inbox = run.inbox
    while inbox.ignored:
        ignore = Ignore(
            run_id=run.order.run_id,
            step=run.step,
            turn=run.turn,
            acknowledged=run.acknowledged,
            index=inbox.noted,
            signals=inbox.ignored,
        )
        try:
            noted = (await write(LifecycleSteps.note_ignored, ignore)).ignore
        except FailureError as error:
            workflow.logger.warning("what was ignored is not noted: %s", error)
            noted = ignore
        # A task of the workflow that was given up may have written the first ones of these: those count.
        inbox.note(len(noted.signals))
