"""Where a run ends by itself."""

from datetime import UTC, datetime, timedelta

import pytest

from longrun.workflows.contract.runs import Limits, Outcome
from longrun.workflows.policy import limits
from tests.build import START


def test_a_run_may_ask_as_often_as_its_limit_says() -> None:
    given = Limits(max_steps=2)
    assert limits.step_limit(given, 1) is None
    assert limits.step_limit(given, 2) == Outcome(status="completed", stop_reason="max_steps")


@pytest.mark.parametrize(("passed", "seconds"), [(0, 10), (4, 6), (9.999, 0), (10, 0), (99, 0)])
def test_the_time_to_a_deadline_is_never_negative_and_never_too_short_for_a_timer(
    passed: float, seconds: float
) -> None:
    now = START + timedelta(seconds=passed)
    assert limits.seconds_to_deadline(Limits(deadline=10), START, now) == seconds


def test_without_a_deadline_there_is_no_time_to_count() -> None:
    assert limits.seconds_to_deadline(Limits(), START, datetime.now(UTC)) is None
