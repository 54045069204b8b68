"""The model checker: all rules over all that was observed.

A run that the server did not take is not looked at; one that it took and that has no log is lost, whatever else.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tests.chaos import bill_rules, effect_rules, log_rules, turn_rules, view_rules, viewer_rules
from tests.chaos.log import Log
from tests.chaos.log_rules import LogRule
from tests.chaos.observations import Observed, RunObserved

RunRule = Callable[[RunObserved], Iterator[str]]

EVERY_LOG: tuple[LogRule, ...] = (
    log_rules.logs_begin_with_their_run,
    log_rules.runs_end,
    log_rules.runs_end_once,
    log_rules.superseded_attempts_are_silent,
    log_rules.steps_are_counted,
    log_rules.parts_join_to_messages,
    log_rules.calls_have_one_result,
    log_rules.cancels_stop_the_run,
    turn_rules.turns_are_counted,
    turn_rules.questions_are_settled_once,
)
RAW_LOG: tuple[LogRule, ...] = (log_rules.seqs_are_dense, *EVERY_LOG)
SETTLED_LOG: tuple[LogRule, ...] = (log_rules.only_superseded_is_missing, *EVERY_LOG)

RUN: tuple[RunRule, ...] = (
    viewer_rules.frames_are_the_log,
    viewer_rules.viewers_miss_nothing,
    viewer_rules.viewers_see_nothing_twice,
    viewer_rules.viewers_read_in_order,
    viewer_rules.streams_end_with_the_run,
    view_rules.settled_is_raw_without_what_was_removed,
    view_rules.stored_is_raw,
    view_rules.rebuilt_is_settled,
    view_rules.runs_are_shown_as_they_ended,
    view_rules.runs_do_not_fail,
    view_rules.messages_are_the_plan,
    effect_rules.effects_happen_once,
    effect_rules.results_had_their_effect,
    effect_rules.counted_decisions_are_logged,
    effect_rules.one_decision_counts,
    effect_rules.cancels_are_final,
    bill_rules.calls_are_attempts,
    bill_rules.charged_attempts_are_calls,
    bill_rules.reattachable_calls_are_made_once,
    bill_rules.usage_is_what_stands,
    bill_rules.billed_is_usage_and_rebilled,
    bill_rules.rebilled_is_reported,
    bill_rules.requests_keep_the_rules,
    bill_rules.calls_end_with_their_run,
)

COLUMNS = {
    "gaps": ("seqs_are_dense", "viewers_miss_nothing"),
    "duplicates": ("viewers_see_nothing_twice",),
    "lost runs": ("runs_end",),
    "double effects": ("effects_happen_once",),
    "rebilled": ("reattachable_calls_are_made_once",),
}
"""The columns of the table, by the rules whose faults they count."""


@dataclass(frozen=True)
class Fault:
    """A rule that does not hold for a run."""

    rule: str
    run_id: str
    detail: str


def check(observed: Observed) -> list[Fault]:
    """All faults of all runs."""
    return [fault for run in observed.runs if run.request.accepted for fault in check_run(run)]


def check_run(run: RunObserved) -> list[Fault]:
    """All faults of a run."""
    run_id = run.request.run_id
    if not run.raw:
        return [Fault(log_rules.runs_end.__name__, run_id, "it was accepted and has no log")]
    faults = [Fault(rule, run_id, detail) for rule, detail in log_faults(run.log, RAW_LOG)]
    return faults + [Fault(rule.__name__, run_id, detail) for rule in RUN for detail in rule(run)]


def log_faults(log: Log, rules: Iterable[LogRule]) -> list[tuple[str, str]]:
    """What is wrong with a log: the rule and what it says."""
    return [(rule.__name__, detail) for rule in rules for detail in rule(log)]


def report(faults: Iterable[Fault]) -> dict[str, int]:
    """How many faults there are for each column of the table, and of all other kinds."""
    counts = Counter(fault.rule for fault in faults)
    table = {column: sum(counts.pop(rule, 0) for rule in rules) for column, rules in COLUMNS.items()}
    return {**table, "others": counts.total()}
