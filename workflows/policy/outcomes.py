"""How a run ends: the outcome that follows from a message, a cancellation, an expiry or a failure."""

from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.messages import FinishReason
from longrun.workflows.contract.results import ModelReply
from longrun.workflows.contract.runs import Cancel, Outcome, StopReason

MAX_STEPS = Outcome(status="completed", stop_reason="max_steps")
PAST_DEADLINE = Outcome(
    status="failed", stop_reason="expired", error=ErrorInfo(type="expired", message="the run's deadline has passed")
)
APPROVAL_EXPIRED = Outcome(
    status="failed", stop_reason="expired", error=ErrorInfo(type="expired", message="nobody approved in time")
)

_UNFINISHED: dict[FinishReason, StopReason] = {
    "length": "max_output",
    "content_filter": "content_filter",
    "refusal": "refusal",
}
"""Of answers that are not what the model would have said."""
_STOP_REASONS: frozenset[str] = frozenset({"llm_api_error", "invalid_llm_response", "context_overflow"})


def after_reply(reply: ModelReply, *, cut_before: bool = False) -> Outcome | None:
    """Whether the model's message ends the run; ``None`` to go on with its calls, or with another step.

    Args:
        reply: The message.
        cut_before: The limit of its length has cut calls of the message before, too: the model has been told.
    """
    if reply.finish_reason == "overflow":
        error = ErrorInfo(type="context_overflow", message="the conversation no longer fits into the model's context")
        return Outcome(status="failed", stop_reason="context_overflow", error=error)
    if reply.message.calls or reply.finish_reason == "pause" or (reply.cut_calls and not cut_before):
        return None
    return Outcome(status="completed", stop_reason=_UNFINISHED.get(reply.finish_reason, "end_turn"))


def may_go_on(outcome: Outcome) -> bool:
    """Whether a run that would end so goes on when somebody says something."""
    return outcome.status == "completed" and outcome.stop_reason != "max_steps"


def cancelled(cancel: Cancel) -> Outcome:
    """The end of a run that is cancelled."""
    return Outcome(status="cancelled", stop_reason="cancelled", cancel=cancel)


def failed(error_type: str | None, message: str) -> Outcome:
    """The end of a run whose activity failed and is not retried."""
    reason: StopReason = error_type if error_type in _STOP_REASONS else "error"  # pyright: ignore[reportAssignmentType] # the set holds stop reasons
    return Outcome(status="failed", stop_reason=reason, error=ErrorInfo(type=error_type or "error", message=message))
