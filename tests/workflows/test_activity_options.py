"""How long things may take, and how a run is started."""

from datetime import timedelta

import pytest
from temporalio.common import RetryPolicy, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.workflow import ActivityCancellationType

from longrun.workflows import activity_options
from longrun.workflows.search_attributes import AGENT_NAME, RUN_STATUS, STOP_REASON, THREAD_ID, status_updates
from longrun.workflows.start import start_options
from tests.build import order


def test_a_tool_has_longer_than_its_own_timeout_so_that_it_can_say_that_it_took_too_long() -> None:
    timeout = activity_options.tool_call("look", 90).get("start_to_close_timeout")
    assert timeout is not None
    assert timeout > timedelta(seconds=90)


@pytest.mark.parametrize("options", [activity_options.model_call("scripted/x"), activity_options.tool_call("look", 1)])
def test_a_model_or_tool_call_is_missed_soon_waited_for_and_taken_over_at_once_however_often(
    options: dict[str, object],
) -> None:
    assert options["heartbeat_timeout"] == activity_options.HEARTBEAT
    assert options["cancellation_type"] is ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
    policy = options["retry_policy"]
    assert isinstance(policy, RetryPolicy)
    assert (policy.maximum_attempts, policy.backoff_coefficient) == (0, 1.0)
    assert options["summary"] in ("scripted/x", "look")


def test_a_write_is_tried_until_the_store_is_back() -> None:
    policy = activity_options.WRITE.get("retry_policy")
    assert policy is not None
    assert policy.maximum_attempts == 0


def test_a_second_start_of_a_run_finds_the_first() -> None:
    given = order("thread")
    options = start_options(given)
    assert options["id"] == given.run_id
    assert options["id_reuse_policy"] is WorkflowIDReusePolicy.REJECT_DUPLICATE
    assert options["id_conflict_policy"] is WorkflowIDConflictPolicy.USE_EXISTING
    shown = options["search_attributes"]
    assert (shown[RUN_STATUS], shown[AGENT_NAME], shown[THREAD_ID]) == ("running", "helper", "thread")


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("hello", "helper: hello"),
        ("two\n  lines\t", "helper: two lines"),
        ("é" * 200, "helper: " + "é" * 86),
        ("漢" * 200, "helper: " + "漢" * 57),
    ],
)
def test_the_summary_is_one_short_line_and_cuts_no_character(text: str, summary: str) -> None:
    assert start_options(order(text=text))["static_summary"] == summary


def test_a_run_shows_why_it_ended_only_when_it_has() -> None:
    assert [update.key for update in status_updates("running")] == [RUN_STATUS]
    ended = status_updates("failed", "expired")
    assert [(update.key, update.value) for update in ended] == [(RUN_STATUS, "failed"), (STOP_REASON, "expired")]
