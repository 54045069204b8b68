"""What the failure of an activity means to its run."""

from temporalio.exceptions import ActivityError, ApplicationError

from longrun.workflows.contract.requests import ToolCall
from longrun.workflows.contract.runs import Outcome
from longrun.workflows.policy import outcomes
from longrun.workflows.policy.interruption import Interrupted


def failed(error: ActivityError) -> Outcome:
    """The outcome of a step whose activity failed and is not retried."""
    if isinstance(cause := error.cause, ApplicationError):
        return outcomes.failed(cause.type, cause.message)
    return outcomes.failed(None, str(cause or error))


def interrupted(call: ToolCall, error: ActivityError) -> Interrupted | None:
    """The call, if an attempt of it was interrupted and a person must decide what becomes of it."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type == "interrupted":
        return Interrupted(call, int(cause.details[0]), cause.message)
    return None
