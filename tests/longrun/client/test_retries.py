"""When a client sends again, decided without a server."""

import pytest

from longrun.client import RetryPolicy, UnreachableError
from longrun.client.errors import InterruptionError
from longrun.client.retries import LASTING, Attempts, Retries

POLICY = RetryPolicy(attempts=3, initial_interval=1, maximum_interval=5, maximum_retry_after=60)
BROKEN = InterruptionError("broken")
REFUSED = InterruptionError("nobody answers", refused=True)


def attempts(maximum: int = 4, *, answered: bool = False) -> tuple[Attempts, list[str]]:
    notices: list[str] = []
    return Attempts(Retries(POLICY, notices.append, answered), maximum), notices


def test_intervals_grow_to_a_bound_and_are_not_shorter_than_the_server_wants() -> None:
    assert [POLICY.interval(failures) for failures in (1, 2, 3, 4, 1000)] == [1, 2, 4, 5, 5]
    assert POLICY.interval(1, 3) == 3
    assert POLICY.interval(4, 3) == 5
    assert POLICY.interval(1, 30) == 30


def test_failures_are_counted_announced_once_and_end_in_an_error() -> None:
    counted, notices = attempts()
    assert [counted.fail(BROKEN) for _ in range(3)] == [1, 2, 4]
    with pytest.raises(UnreachableError, match="gave up after 4 attempts: broken"):
        counted.fail(BROKEN)
    assert notices == ["broken"]


def test_progress_counts_from_zero() -> None:
    counted, notices = attempts()
    for _ in range(9):
        assert counted.fail(BROKEN) == 1
        counted.progress()
    assert len(notices) == 9


def test_a_server_that_wants_a_longer_break_than_the_policy_allows_is_given_up() -> None:
    counted, _ = attempts()
    assert counted.fail(InterruptionError("busy", 60)) == 60
    with pytest.raises(UnreachableError, match="busy"):
        counted.fail(InterruptionError("busy", 61))


def test_a_server_that_never_answered_is_not_waited_for() -> None:
    counted, notices = attempts()
    with pytest.raises(UnreachableError, match=r"^nobody answers$"):
        counted.fail(REFUSED)
    assert notices == []


@pytest.mark.parametrize("how", ["by another request", "by this one", "with a broken answer"])
def test_a_server_that_has_answered_is_waited_for(how: str) -> None:
    counted, _ = attempts(answered=how == "by another request")
    if how == "by this one":
        counted.connect()
    elif how == "with a broken answer":
        counted.fail(BROKEN)
    assert counted.fail(REFUSED) > 0


def test_a_request_that_must_not_be_repeated_fails_at_once() -> None:
    notices: list[str] = []
    once = Retries(POLICY, notices.append, answered=True).of_request(repeatable=False)
    with pytest.raises(UnreachableError, match=r"^broken$"):
        once.fail(BROKEN)
    assert notices == []


def test_connections_that_last_and_break_without_an_event_are_no_failures_in_a_row() -> None:
    time = 0.0
    counted = Attempts(Retries(POLICY, lambda _: None), 3, lambda: time)
    for _ in range(9):
        counted.connect()
        time += LASTING
        assert counted.fail(BROKEN) == 1
    counted.connect()
    time += LASTING / 2
    assert counted.fail(BROKEN) == 2
    with pytest.raises(UnreachableError):
        counted.fail(BROKEN)
