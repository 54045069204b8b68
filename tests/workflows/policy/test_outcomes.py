"""What ends a run, and how."""

import pytest

from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.messages import TextPart
from longrun.workflows.contract.results import ModelReply
from longrun.workflows.contract.runs import Cancel
from longrun.workflows.policy import outcomes
from tests.workflows.policy.replies import call, reply


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (reply(TextPart(text="hi")), "end_turn"),
        (reply(), "end_turn"),
        (reply(TextPart(text="hi"), finish="length"), "max_output"),
        (reply(TextPart(text="hi"), finish="content_filter"), "content_filter"),
        (reply(TextPart(text="hi"), finish="refusal"), "refusal"),
        (reply(TextPart(text="hi"), finish="pause"), None),
        (reply(call(), finish="tool_calls"), None),
        (reply(call(), finish="stop"), None),
        (reply(call().model_copy(update={"cut": True})), "end_turn"),
        (reply(call().model_copy(update={"cut": True}), finish="length"), None),
        (reply(call(), finish="overflow"), "context_overflow"),
    ],
)
def test_a_message_without_calls_ends_the_run(given: ModelReply, reason: str | None) -> None:
    outcome = outcomes.after_reply(given)
    assert (outcome.stop_reason if outcome else None) == reason


def test_a_model_whose_calls_are_cut_is_told_so_once() -> None:
    cut = reply(call().model_copy(update={"cut": True}), finish="length")
    outcome = outcomes.after_reply(cut, cut_before=True)
    assert outcome is not None
    assert (outcome.status, outcome.stop_reason) == ("completed", "max_output")


@pytest.mark.parametrize(
    ("error_type", "reason"),
    [
        ("llm_api_error", "llm_api_error"),
        ("context_overflow", "context_overflow"),
        ("invalid_llm_response", "invalid_llm_response"),
        ("StoreUnavailableError", "error"),
        (None, "error"),
    ],
)
def test_a_failure_has_a_stop_reason(error_type: str | None, reason: str) -> None:
    outcome = outcomes.failed(error_type, "why")
    assert (outcome.status, outcome.stop_reason) == ("failed", reason)
    assert outcome.error == ErrorInfo(type=error_type or "error", message="why")


def test_a_cancel_is_final() -> None:
    outcome = outcomes.cancelled(Cancel(by="ann"))
    assert (outcome.status, outcome.stop_reason) == ("cancelled", "cancelled")
