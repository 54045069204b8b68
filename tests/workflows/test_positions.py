"""Where the events of results are in the log."""

import pytest

from longrun.workflows import record
from longrun.workflows.contract.events import RunResumed
from longrun.workflows.contract.results import Answered, Rewound, Stamp
from longrun.workflows.positions import numbered
from tests.build import START


def test_a_reset_is_one_event_with_the_range_that_it_took_back() -> None:
    rewound = Rewound(first=4, last=9, turn=2, turn_id="turn", calls=("c1",), stamp=Stamp(first=10, at=START))
    expected = RunResumed(run_id="r", seq=10, at=START, turn=2, turn_id="turn", first=4, last=9)
    assert numbered(rewound, "r") == [expected]


def test_what_is_no_result_of_its_own_has_no_events() -> None:
    with pytest.raises(TypeError, match="Answered leaves no events"):
        record.events(Answered(outcomes=()), "r")
