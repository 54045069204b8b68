"""What a failed activity means to its run."""

import pytest
from temporalio import exceptions
from temporalio.exceptions import ActivityError, ApplicationError, RetryState, TimeoutType

from longrun.workflows.contract.requests import ToolCall
from longrun.workflows.policy.interruption import Interrupted
from longrun.workflows.steps.failures import failed, interrupted

CALL = ToolCall(run_id="r", step=3, call_id="c1", name="pay")
STOPPED = ApplicationError("its worker died", 2, type="interrupted")
SILENT = exceptions.TimeoutError("activity Heartbeat timeout", type=TimeoutType.HEARTBEAT, last_heartbeat_details=[])


def failure(cause: Exception | None) -> ActivityError:
    """The failure of an activity, as its run gets it."""
    error = ActivityError(
        "Activity task failed",
        scheduled_event_id=5,
        started_event_id=6,
        identity="w",
        activity_type="run_tool",
        activity_id="1",
        retry_state=RetryState.NON_RETRYABLE_FAILURE,
    )
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "reason", "kind", "message"),
    [
        (ApplicationError("no key", type="llm_api_error"), "llm_api_error", "llm_api_error", "no key"),
        (ApplicationError("no disk", type="internal_error"), "error", "internal_error", "no disk"),
        (SILENT, "error", "error", "activity Heartbeat timeout"),
        (None, "error", "error", "Activity task failed"),
    ],
)
def test_a_failed_activity_is_an_outcome_with_its_reason(
    cause: Exception | None, reason: str, kind: str, message: str
) -> None:
    outcome = failed(failure(cause))
    assert (outcome.status, outcome.stop_reason) == ("failed", reason)
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.message) == (kind, message)


def test_only_a_call_that_was_interrupted_is_for_a_person_to_decide() -> None:
    assert interrupted(CALL, failure(STOPPED)) == Interrupted(CALL, 2, "its worker died")
    for cause in (ApplicationError("no disk", type="internal_error"), SILENT, None):
        assert interrupted(CALL, failure(cause)) is None
