"""One bad run holds up no other, and is left alone for longer and longer."""

import logging

import pytest

from longrun.gateway.reconcile.bad_runs import BadRuns
from longrun.runtime.temporal import TemporalUnavailableError
from longrun.store.db.database import StoreUnavailableError


def test_a_run_that_fails_is_left_alone_and_named_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    bad = BadRuns()
    pauses: list[str] = []
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with bad.forgiving("r1"):
                raise LookupError("odd")
    pauses = [record.getMessage() for record in caplog.records]
    assert pauses == [
        f"run r1 cannot be looked at, and is left alone for {seconds} s: LookupError: odd" for seconds in (2, 4, 8)
    ]
    assert bad.waits("r1")
    assert not bad.waits("r2")
    with bad.forgiving("r1"):
        pass
    assert not bad.waits("r1")


@pytest.mark.parametrize("error", [TemporalUnavailableError("away"), StoreUnavailableError("away")])
def test_what_is_nobodys_fault_is_raised(error: Exception) -> None:
    bad = BadRuns()
    with pytest.raises(type(error)), bad.forgiving("r1"):
        raise error
    assert not bad.waits("r1")
