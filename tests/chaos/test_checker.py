"""The checker finds no fault where there is none, and each that is injected."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos import mutations_in_deeds, mutations_in_logs, mutations_in_views
from tests.chaos.checker import COLUMNS, RAW_LOG, RUN, SETTLED_LOG, Fault, check, log_faults, report
from tests.chaos.log import Log
from tests.chaos.log_rules import only_superseded_is_missing
from tests.chaos.mutating import Change, Mutation, seen
from tests.chaos.observations import Observed, RunObserved, Viewer
from tests.chaos.stories import cancelled, connected, paid, reattached, reset
from tests.chaos.view_rules import messages_are_the_plan
from tests.chaos.viewer_rules import viewers_miss_nothing, viewers_see_nothing_twice

Story = Callable[[], RunObserved]
STORIES: tuple[Story, ...] = (paid, reattached, cancelled, reset)
LOGS = sorted((Path(__file__).parents[1] / "histories").glob("*.log.jsonl"))
MUTATIONS = {**mutations_in_views.MUTATIONS, **mutations_in_logs.MUTATIONS, **mutations_in_deeds.MUTATIONS}
UNHARMED = {**mutations_in_views.UNHARMED, **mutations_in_deeds.UNHARMED}


def found(run: RunObserved) -> list[Fault]:
    return check(Observed((run,)))


def rules(run: RunObserved) -> set[str]:
    return {fault.rule for fault in found(run)}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_run_that_is_right_has_no_faults(story: Story) -> None:
    assert found(story()) == []


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
def test_a_recorded_log_has_no_faults(path: Path) -> None:
    assert log_faults(Log.of_lines(path.read_bytes().splitlines()), SETTLED_LOG) == []


def test_a_settled_log_may_lack_only_what_was_superseded() -> None:
    run = paid()
    assert log_faults(Log.of_lines(run.settled), SETTLED_LOG) == []
    lacking = log_faults(Log.of_lines((*run.settled[:1], *run.settled[2:])), SETTLED_LOG)
    assert (only_superseded_is_missing.__name__, "there is no 2") in lacking


@pytest.mark.parametrize("what", UNHARMED)
def test_what_may_happen_is_no_fault(what: str) -> None:
    story, change = UNHARMED[what]
    assert found(change(story())) == []


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_injected_fault_is_found_by_its_rules_and_no_others(what: str) -> None:
    mutation: Mutation = MUTATIONS[what]
    assert rules(mutation.change(mutation.story())) == {rule.__name__ for rule in mutation.found_by}


def test_each_rule_finds_something() -> None:
    finding = {rule for mutation in MUTATIONS.values() for rule in mutation.found_by}
    assert finding == {*RAW_LOG, *RUN}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_whatever_single_event_a_viewer_misses_or_gets_twice_is_found(story: Story) -> None:
    run = story()
    for at in range(len(run.raw)):
        missing = seen("whole", lambda frames, at=at: frames[:at] + frames[at + 1 :])
        twice = seen("whole", lambda frames, at=at: [*frames[: at + 1], *frames[at:]])
        assert viewers_miss_nothing.__name__ in rules(missing(run))
        assert rules(twice(run)) == {viewers_see_nothing_twice.__name__}


@given(st.sets(st.integers(0, len(paid().raw) - 1), min_size=1, max_size=12))
def test_a_viewer_that_comes_back_wherever_it_was_cut_has_no_faults(cuts: set[int]) -> None:
    run = paid()
    bounds = [0, *sorted(cuts), len(run.raw)]
    viewer = Viewer("cut", tuple(connected(a, "raw", run.raw[a:b]) for a, b in pairwise(bounds)))
    assert found(replace(run, viewers=(viewer,))) == []


def test_faults_name_their_run_and_are_counted_by_column() -> None:
    harm: list[Change] = [MUTATIONS[what].change for what in ("an event is lost", "an event comes twice")]
    runs = [change(paid()) for change in harm]
    lost, said_otherwise = mutations_in_logs.cut(2)(paid()), mutations_in_logs.MUTATIONS["words change places"]
    wrong = said_otherwise.change(said_otherwise.story())
    faults = check(Observed((*runs, lost, wrong, paid())))
    assert {fault.run_id for fault in faults} == {run.request.run_id for run in (*runs, lost, wrong)}
    assert report(faults) == {**dict.fromkeys(COLUMNS, 0), "gaps": 1, "duplicates": 1, "lost runs": 1, "others": 1}
    assert faults[-1].rule == messages_are_the_plan.__name__
    assert "'t0w1' as word 0 where 't0w0' should be" in faults[-1].detail
