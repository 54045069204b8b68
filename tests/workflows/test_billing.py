"""What attempts cost together."""

from datetime import UTC, datetime

import pytest

from longrun.workflows.billing import Bill, bill
from longrun.workflows.contract.attempts import AttemptEntry, AttemptOutcome

AT = datetime(2026, 1, 1, tzinfo=UTC)


def entry(outcome: AttemptOutcome | None, tokens_in: int | None, tokens_out: int | None) -> AttemptEntry:
    return AttemptEntry(
        step=1, attempt=1, worker="w", started_at=AT, outcome=outcome, tokens_in=tokens_in, tokens_out=tokens_out
    )


def test_nothing_costs_nothing() -> None:
    assert bill([]) == Bill(0, 0)


@pytest.mark.parametrize("outcome", ["lost", "failed", "handed_over"])
def test_text_that_does_not_stand_is_billed_again(outcome: AttemptOutcome) -> None:
    assert bill([entry(outcome, 10, 3), entry("completed", 10, 5)]) == Bill(28, 13)


@pytest.mark.parametrize("outcome", ["completed", "cancelled", None])
def test_text_that_stands_or_is_under_way_is_billed_once(outcome: AttemptOutcome | None) -> None:
    assert bill([entry(outcome, 10, 5)]) == Bill(15, 0)


def test_what_nobody_knows_counts_as_nothing() -> None:
    assert bill([entry("lost", None, None), entry("lost", None, 3), entry("completed", 10, None)]) == Bill(13, 3)
