"""Faults in what was done, decided and charged, beside a log that is right."""

from collections.abc import Callable
from dataclasses import replace

from tests.chaos.bill_rules import (
    billed_is_usage_and_rebilled,
    calls_are_attempts,
    calls_end_with_their_run,
    charged_attempts_are_calls,
    reattachable_calls_are_made_once,
    rebilled_is_reported,
    requests_keep_the_rules,
    usage_is_what_stands,
)
from tests.chaos.effect_rules import (
    cancels_are_final,
    counted_decisions_are_logged,
    effects_happen_once,
    one_decision_counts,
    results_had_their_effect,
)
from tests.chaos.mutating import (
    Change,
    Mutation,
    billed_as,
    both,
    charged,
    edited,
    index_of,
    observed,
    other,
    requested,
    shows,
    tried,
    without,
)
from tests.chaos.observations import CancelSent, DecisionSent, EffectSeen, ExpectedTool, RunObserved
from tests.chaos.stories import CALL, billed, cancelled, entry, paid, reattached, retold
from tests.chaos.view_rules import runs_are_shown_as_they_ended

TWICE = (EffectSeen(CALL, 1), EffectSeen(CALL, 2))
ANN = DecisionSent(CALL, "approve", "ann", "d1", "counted")
BOB = DecisionSent(CALL, "deny", "bob", "d2", "counted")
NOTHING = {"tokens_in": None, "tokens_out": None, "outcome": "lost"}


def _sent(*decisions: DecisionSent) -> Change:
    return observed(decisions=decisions)


def _questioned_again(run: RunObserved) -> RunObserved:
    """After the tool has started a person is asked once more, and agrees."""
    first, last, start = (
        index_of(run, "approval.requested"),
        index_of(run, "run.resumed"),
        index_of(run, "tool.started"),
    )
    asking = run.raw[first : last + 1]
    lines = [
        edited(line, turn=turn) if b'"turn"' in line else line
        for line, turn in zip(asking, (0, 2, 0, 0, 3), strict=True)
    ]
    lines[3] = edited(lines[3], decision_id="d3")
    run = retold(run, (*run.raw[: start + 1], *lines, *run.raw[start + 1 :]))
    run = other("turn.ended", -1, turn=3)(run)
    return replace(run, decisions=(*run.decisions, replace(ANN, id="d3")))


_answered = both(
    without("tool.started"), other("approval.decided", decision="answer"), _sent(replace(ANN, decision="answer"))
)

MUTATIONS = {
    "a call has its effect twice": Mutation(paid, observed(effects=TWICE), (effects_happen_once,)),
    "a call has its effect twice after one more question": Mutation(
        paid, both(_questioned_again, observed(effects=(*TWICE, EffectSeen(CALL, 3)))), (effects_happen_once,)
    ),
    "an effect has no call": Mutation(
        paid, observed(effects=(EffectSeen(CALL, 1), EffectSeen("x", 1))), (effects_happen_once,)
    ),
    "a result comes without its effect": Mutation(paid, observed(effects=()), (results_had_their_effect,)),
    "two are told that theirs counts": Mutation(
        paid, _sent(ANN, BOB), (counted_decisions_are_logged, one_decision_counts)
    ),
    "one is told that theirs counts, another's does": Mutation(
        paid, _sent(replace(ANN, answered="error"), BOB), (counted_decisions_are_logged,)
    ),
    "one is told that theirs is too late, and it counts": Mutation(
        paid, _sent(replace(ANN, answered="refused")), (counted_decisions_are_logged,)
    ),
    "a decision counts that nobody sent": Mutation(paid, _sent(), (one_decision_counts,)),
    "a cancel is taken and forgotten": Mutation(
        paid, observed(cancels=(CancelSent("ann", "accepted", 5),)), (cancels_are_final,)
    ),
    "a run is cancelled by nobody": Mutation(
        cancelled, observed(cancels=(CancelSent("ann", "over"),)), (cancels_are_final,)
    ),
    "the provider counts a call that no attempt shows": Mutation(
        paid, charged(billed(4, 0, status="abandoned")), (calls_are_attempts,)
    ),
    "an attempt is charged that the provider did not count": Mutation(
        paid, tried(entry(1, 2)), (charged_attempts_are_calls, billed_is_usage_and_rebilled)
    ),
    "an attempt has an answer that the provider does not know": Mutation(
        reattached,
        tried(entry(1, 3, response_id="resp_9", recovered="reattached", **NOTHING)),
        (charged_attempts_are_calls,),
    ),
    "what could be taken up is asked for again": Mutation(
        reattached,
        both(charged(billed(2, 0)), tried(entry(1, 3, recovered="reissued", **NOTHING))),
        (reattachable_calls_are_made_once, rebilled_is_reported),
    ),
    "what could be taken up is charged again": Mutation(
        reattached,
        shows(tokens_rebilled=30, tokens_billed=60),
        (reattachable_calls_are_made_once, billed_is_usage_and_rebilled),
    ),
    "what was charged again is hidden": Mutation(
        paid, shows(tokens_rebilled=0, tokens_billed=60), (billed_is_usage_and_rebilled, rebilled_is_reported)
    ),
    "what was charged again is left out": Mutation(
        paid, shows(tokens_rebilled=None, tokens_billed=None), (rebilled_is_reported,)
    ),
    "the charge is not what stands and what was charged again": Mutation(
        paid, shows(tokens_rebilled=5), (billed_is_usage_and_rebilled,)
    ),
    "the run shows another usage": Mutation(
        paid,
        shows(usage={"input_tokens": 40, "output_tokens": 21}),
        (runs_are_shown_as_they_ended, usage_is_what_stands, billed_is_usage_and_rebilled),
    ),
    "the provider counted other tokens": Mutation(paid, billed_as(2, tokens_out=11), (usage_is_what_stands,)),
    "a request broke the provider's rules": Mutation(
        paid, billed_as(0, violations=("calls: no id twice",)), (requests_keep_the_rules,)
    ),
    "the provider goes on after the run's end": Mutation(
        reattached, billed_as(0, status="running"), (usage_is_what_stands, calls_end_with_their_run)
    ),
}

UNHARMED: dict[str, tuple[Callable[[], RunObserved], Change]] = {
    "a tool that may be repeated is": (
        paid,
        both(observed(effects=TWICE), requested(tools=(ExpectedTool("pay", on_interrupted="retry"),))),
    ),
    "a tool that only reads runs twice": (
        paid,
        both(observed(effects=TWICE), requested(tools=(ExpectedTool("pay", effect="read"),))),
    ),
    "a person lets a call run again": (paid, both(_questioned_again, observed(effects=TWICE))),
    "a person gives the result": (paid, both(_answered, observed(effects=()))),
    "a decision counts whose sender was told nothing": (paid, _sent(replace(ANN, answered="error"))),
    "a decision counts whose sender was told to wait": (paid, _sent(replace(ANN, answered="accepted"))),
    "a cancel comes in the last step": (paid, observed(cancels=(CancelSent("ann", "delivered", 40),))),
    "a cancel comes nobody knows when": (paid, observed(cancels=(CancelSent("ann", "delivered"),))),
    "a cancel is lost on its way": (paid, observed(cancels=(CancelSent("ann", "error", 5),))),
    "tokens come as a usage": (
        paid,
        shows(
            tokens_billed={"input_tokens": 60, "output_tokens": 25},
            tokens_rebilled={"input_tokens": 20, "output_tokens": 5},
        ),
    ),
    "nobody knows what was to be said": (paid, requested(plan=None)),
}
"""What is no fault."""
