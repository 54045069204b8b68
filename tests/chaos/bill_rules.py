"""What must hold between what the provider counted and what a run shows of its cost."""

from collections import Counter
from collections.abc import Iterator

from longrun.workflows.contract.attempts import AttemptEntry
from longrun.workflows.contract.events import MessageCompleted, RunCompleted
from longrun.workflows.contract.messages import Usage
from tests.chaos.log import some
from tests.chaos.observations import Bill, RunObserved, ShownRun, tokens


def _asking(shown: ShownRun) -> list[AttemptEntry]:
    """The attempts that may have asked the provider, and not only read what it had said."""
    calls = [attempt for attempt in shown.attempts if attempt.call_id is None]
    return [attempt for attempt in calls if attempt.recovered in {"none", "reissued"}]


def calls_are_attempts(run: RunObserved) -> Iterator[str]:
    """Each request that the provider counted is an attempt that the run shows."""
    if run.shown is None:
        return
    shown = Counter(attempt.step for attempt in _asking(run.shown))
    for step, count in sorted(Counter(bill.step for bill in run.bills).items()):
        if count > shown[step]:
            yield f"the provider counted {count} calls for step {step}, the run shows {shown[step]} that ask"


def charged_attempts_are_calls(run: RunObserved) -> Iterator[str]:
    """Each attempt with the provider's word on tokens, or with an answer's id, is a request that it counted."""
    if run.shown is None:
        return
    counted = Counter(bill.step for bill in run.bills)
    reported = [a for a in run.shown.attempts if a.call_id is None and a.tokens_in is not None and not a.estimated]
    for step, count in sorted(Counter(attempt.step for attempt in reported).items()):
        if count > counted[step]:
            yield f"the run shows {count} charged attempts of step {step}, the provider counted {counted[step]} calls"
    names = {a.response_id for a in run.shown.attempts if a.response_id} if run.request.background else set[str]()
    if unknown := sorted(names - {bill.id for bill in run.bills}):
        yield f"the provider knows nothing of {some(unknown)}"


def reattachable_calls_are_made_once(run: RunObserved) -> Iterator[str]:
    """Where an answer can be taken up again, the provider is asked once per step and nothing is charged again."""
    if not run.request.background:
        return
    for step, count in sorted(Counter(bill.step for bill in run.bills).items()):
        if count > 1:
            yield f"the provider counted {count} calls for step {step}"
    if run.shown and (again := tokens(run.shown.tokens_rebilled)):
        yield f"the run shows {again} tokens charged again"


def usage_is_what_stands(run: RunObserved) -> Iterator[str]:
    """A completed run's usage is that of its messages, and that of the calls that the provider completed for them."""
    if run.shown is None or not any(isinstance(event, RunCompleted) for event in run.log.life):
        return
    mine = (run.shown.usage.input_tokens or 0, run.shown.usage.output_tokens or 0)
    messages = [event for event in run.log.effective if isinstance(event, MessageCompleted)]
    said = sum((event.usage for event in messages), Usage())
    if mine != (said.input_tokens or 0, said.output_tokens or 0):
        yield f"the run shows {mine} tokens in and out, its messages {said}"
    steps = {event.step for event in messages}
    stand = {bill.step: bill for bill in run.bills if bill.status == "completed" and bill.step in steps}
    counted = (sum(b.tokens_in for b in stand.values()), sum(b.tokens_out for b in stand.values()))
    if mine != counted:
        yield f"the run shows {mine} tokens in and out, the provider {counted}"


def billed_is_usage_and_rebilled(run: RunObserved) -> Iterator[str]:
    """What a completed run was charged is what stands and what was charged again, and the sum of its attempts."""
    shown = run.shown
    if shown is None or shown.tokens_billed is None or not any(isinstance(e, RunCompleted) for e in run.log.life):
        return
    billed, again = tokens(shown.tokens_billed), tokens(shown.tokens_rebilled)
    if billed - again != tokens(shown.usage):
        yield f"{billed} tokens charged, {again} of them again, but {tokens(shown.usage)} stand"
    attempts = sum((a.tokens_in or 0) + (a.tokens_out or 0) for a in shown.attempts if a.call_id is None)
    if billed != attempts:
        yield f"{billed} tokens charged, the attempts say {attempts}"


def rebilled_is_reported(run: RunObserved) -> Iterator[str]:
    """A run for which the provider charged a step more than once says that tokens were charged again."""
    if run.shown is None or tokens(run.shown.tokens_rebilled):
        return
    paid = Counter(bill.step for bill in run.bills if _cost(bill))
    if twice := sorted(step for step, count in paid.items() if count > 1):
        yield f"the provider charged the steps {some(twice)} more than once, the run shows nothing charged again"


def _cost(bill: Bill) -> int:
    return bill.tokens_in + bill.tokens_out


def requests_keep_the_rules(run: RunObserved) -> Iterator[str]:
    """The provider found nothing wrong with the conversations that it was sent."""
    yield from sorted({wrong for bill in run.bills for wrong in bill.violations})


def calls_end_with_their_run(run: RunObserved) -> Iterator[str]:
    """When a run is over, the provider generates nothing for it any more."""
    yield from (f"{bill.id} of step {bill.step} goes on" for bill in run.bills if bill.status == "running")
