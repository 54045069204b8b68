"""What the provider charged for a run, and what of it twice."""

from collections.abc import Iterable
from typing import NamedTuple

from tests.chaos import bill_rules
from tests.chaos.checker import Fault
from tests.chaos.observations import Bill, RunObserved


class Cost(NamedTuple):
    """Tokens, in and out: all; those of answers for which another one stands; and the same that had no name yet."""

    billed: int
    again: int
    unnamed: int


def cost_of(run: RunObserved) -> Cost:
    """A run's cost. An answer that the provider began and no attempt knows by name is one that had none."""
    steps = {bill.step: bill for bill in run.bills}
    extra = [bill for bill in run.bills if bill is not steps[bill.step]]
    names = {attempt.response_id for attempt in run.shown.attempts} if run.shown else set[str | None]()
    unnamed = [bill for bill in extra if run.request.background and bill.id not in names]
    return Cost(_sum(run.bills), _sum(bill for bill in extra if bill not in unnamed), _sum(unnamed))


def _sum(bills: Iterable[Bill]) -> int:
    return sum(bill.tokens_in + bill.tokens_out for bill in bills)


def is_unnamed(fault: Fault, observed: Iterable[RunObserved]) -> bool:
    """Whether an answer was charged again because its attempt died before the provider had named it.

    Between a request and the first event of its answer nobody can know what to take up again. This is the one way in
    which ``openai/…`` may be charged twice; such faults are counted by themselves.
    """
    if fault.rule != bill_rules.reattachable_calls_are_made_once.__name__:
        return False
    (run,) = (run for run in observed if run.request.run_id == fault.run_id)
    attempts = run.shown.attempts if run.shown else ()
    return any(each.call_id is None and each.outcome == "lost" and each.response_id is None for each in attempts)
