"""Faults in a log that all its readers agree on."""

from typing import Any

from tests.chaos.bill_rules import usage_is_what_stands
from tests.chaos.effect_rules import counted_decisions_are_logged, results_had_their_effect
from tests.chaos.log_rules import (
    calls_have_one_result,
    cancels_stop_the_run,
    logs_begin_with_their_run,
    parts_join_to_messages,
    runs_end,
    runs_end_once,
    seqs_are_dense,
    steps_are_counted,
    superseded_attempts_are_silent,
)
from tests.chaos.mutating import Change, Mutation, again, both, cut, index_of, observed, other, requested, without
from tests.chaos.observations import RunObserved, turn_text
from tests.chaos.stories import cancelled, paid, reattached, reset, retold
from tests.chaos.turn_rules import questions_are_settled_once, turns_are_counted
from tests.chaos.view_rules import messages_are_the_plan, runs_are_shown_as_they_ended, runs_do_not_fail
from tests.chaos.viewer_rules import viewers_see_nothing_twice

END = 2
"""``turn.ended`` and ``run.completed``."""
LATE = 12
"""The last text that the lost attempt of ``paid`` wrote."""


def _hole(run: RunObserved) -> RunObserved:
    at = index_of(run, "text.delta", 1)
    return retold(run, (*run.raw[:at], *run.raw[at + 1 :]), renumber=False)


def _headless(run: RunObserved) -> RunObserved:
    return retold(run, run.raw[1:], renumber=False)


def _written_twice(run: RunObserved) -> RunObserved:
    return retold(run, (*run.raw[:-1], *run.raw[-END:]), renumber=False)


def _ended_twice(run: RunObserved) -> RunObserved:
    return retold(run, (*run.raw, *run.raw[-END:]))


def _says(text: str) -> Change:
    """The message of ``reattached`` says something else, in its deltas and in its part."""
    size = 4
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    count = -(-len(turn_text(0, 12)) // size)
    said = [*pieces[: count - 1], "".join(pieces[count - 1 :])]
    deltas = [other("text.delta", nth, delta=delta) for nth, delta in enumerate(said)]
    return both(*deltas, other("text.completed", text=text))


FAILURE: dict[str, Any] = {
    "type": "run.failed",
    "stop_reason": "error",
    "error": {"type": "error", "message": "it failed"},
}

WHOLE_LOGS = {
    "the log has a hole": Mutation(paid, _hole, (seqs_are_dense, parts_join_to_messages, messages_are_the_plan)),
    "the log lacks its first event": Mutation(paid, _headless, (seqs_are_dense, logs_begin_with_their_run)),
    "the log has an event twice, with its number": Mutation(
        cancelled, _written_twice, (seqs_are_dense, turns_are_counted, viewers_see_nothing_twice)
    ),
    "an event is another run's": Mutation(paid, other("step.started", run_id="r"), (logs_begin_with_their_run,)),
    "a run has no end": Mutation(paid, cut(END), (runs_end,)),
    "a run has no log": Mutation(paid, observed(raw=()), (runs_end,)),
    "a run that was reset has no end": Mutation(reset, cut(END), (runs_end,)),
    "a run ends twice": Mutation(paid, _ended_twice, (runs_end_once,)),
    "text comes after the end": Mutation(
        paid, again("text.delta", "run.completed"), (runs_end_once, parts_join_to_messages)
    ),
    "a run fails": Mutation(
        reattached, other("run.completed", 0, **FAILURE), (runs_do_not_fail, runs_are_shown_as_they_ended)
    ),
    "a cancelled run says more": Mutation(
        cancelled, again("text.delta", "message.completed"), (cancels_stop_the_run, parts_join_to_messages)
    ),
    "a cancelled run begins a step": Mutation(
        cancelled, again("step.started", "message.completed", step=2), (cancels_stop_the_run,)
    ),
}
MESSAGES = {
    "a fence is forgotten: a superseded attempt writes on": Mutation(
        paid,
        again("text.delta", "attempt.superseded", LATE),
        (superseded_attempts_are_silent, parts_join_to_messages),
    ),
    "a notice is forgotten": Mutation(paid, without("attempt.superseded"), (parts_join_to_messages,)),
    "a notice comes twice": Mutation(
        paid, again("attempt.superseded", "attempt.superseded"), (superseded_attempts_are_silent,)
    ),
    "a notice says too much": Mutation(
        paid, other("attempt.superseded", **{"from": 1}), (superseded_attempts_are_silent,)
    ),
    "a notice speaks of what comes": Mutation(
        paid, other("attempt.superseded", to=99), (superseded_attempts_are_silent,)
    ),
    "a notice takes back what stands": Mutation(
        paid, other("attempt.superseded", attempt=2), (superseded_attempts_are_silent, parts_join_to_messages)
    ),
    "a step begins twice": Mutation(paid, again("step.started", "tool.completed", 1), (steps_are_counted,)),
    "a message is of a step that never began": Mutation(
        reattached, other("message.completed", step=2), (steps_are_counted, usage_is_what_stands)
    ),
    "a message is completed twice": Mutation(
        paid,
        again("message.completed", "message.completed", 1, nth_after=1),
        (steps_are_counted, parts_join_to_messages, messages_are_the_plan, usage_is_what_stands),
    ),
    "a message is not completed": Mutation(
        paid,
        without("message.completed", 1),
        (parts_join_to_messages, messages_are_the_plan, usage_is_what_stands),
    ),
    "a part is not what its deltas said": Mutation(
        reattached, other("text.completed", text="?"), (parts_join_to_messages,)
    ),
    "a part is not completed": Mutation(reattached, without("text.completed"), (parts_join_to_messages,)),
    "a part goes on after its completion": Mutation(
        reattached, again("text.delta", "text.completed"), (parts_join_to_messages, messages_are_the_plan)
    ),
    "a word comes twice": Mutation(reattached, _says("t0w0 " + turn_text(0, 12)), (messages_are_the_plan,)),
    "words change places": Mutation(
        reattached, _says(turn_text(0, 12).replace("t0w0 t0w1", "t0w1 t0w0")), (messages_are_the_plan,)
    ),
    "a cancelled message says something else": Mutation(
        cancelled, other("text.delta", delta="?"), (messages_are_the_plan,)
    ),
    "another tool is called": Mutation(paid, other("tool_call.completed", name="other"), (messages_are_the_plan,)),
    "there are more messages than were planned": Mutation(reattached, requested(plan=()), (messages_are_the_plan,)),
}
CALLS_AND_TURNS = {
    "a call has two results": Mutation(paid, again("tool.completed", "tool.completed"), (calls_have_one_result,)),
    "a call has no result": Mutation(paid, without("tool.completed"), (calls_have_one_result,)),
    "a result has no call": Mutation(
        paid, other("tool.completed", call_id="x"), (calls_have_one_result, results_had_their_effect)
    ),
    "a call starts twice": Mutation(paid, again("tool.started", "tool.started"), (calls_have_one_result,)),
    "a call starts after its result": Mutation(
        paid, both(again("tool.started", "tool.completed"), without("tool.started")), (calls_have_one_result,)
    ),
    "the same decision counts twice": Mutation(
        paid, again("approval.decided", "approval.decided"), (questions_are_settled_once,)
    ),
    "a second decision counts too": Mutation(
        paid,
        again("approval.decided", "approval.decided", decision="deny", by="bob", decision_id="d2"),
        (questions_are_settled_once, counted_decisions_are_logged),
    ),
    "a run goes on without an answer": Mutation(
        paid, without("approval.decided"), (questions_are_settled_once, counted_decisions_are_logged)
    ),
    "a run goes on without saying so": Mutation(
        paid, without("run.resumed"), (questions_are_settled_once, turns_are_counted)
    ),
    "a turn ends for another reason": Mutation(paid, other("turn.ended", stop_reason="end_turn"), (turns_are_counted,)),
    "a turn ends with another number": Mutation(paid, other("turn.ended", turn=7), (turns_are_counted,)),
    "a turn begins with another number": Mutation(paid, other("run.resumed", turn=7), (turns_are_counted,)),
    "a turn does not end": Mutation(paid, without("turn.ended", -1), (turns_are_counted,)),
}
MUTATIONS = {**WHOLE_LOGS, **MESSAGES, **CALLS_AND_TURNS}
