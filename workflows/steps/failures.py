"""What the failure of an activity means to its run."""

from temporalio.exceptions import ActivityError, ApplicationError, FailureError

from longrun.workflows.contract.requests import ToolCall
from longrun.workflows.contract.runs import Outcome
from longrun.workflows.policy import outcomes
from longrun.workflows.policy.interruption import Interrupted


def application_error(error: FailureError) -> ApplicationError | None:
    """What an activity has raised; that of a local one comes as it is, that of another one as a cause."""
    cause = error.cause if isinstance(error, ActivityError) else error
    return cause if isinstance(cause, ApplicationError) else None


def failed(error: FailureError) -> Outcome:
    """The outcome of a step whose activity failed and is not retried."""
    if raised := application_error(error):
        return outcomes.failed(raised.type, raised.message)
    return outcomes.failed(None, str(error.cause or error))


def interrupted(call: ToolCall, error: ActivityError) -> Interrupted | None:
    """The call, if an attempt of it was interrupted and a person must decide what becomes of it."""
    raised = application_error(error)
    if raised and raised.type == "interrupted":
        return Interrupted(call, int(raised.details[0]), raised.message)
    return None
