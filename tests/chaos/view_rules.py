"""What must hold between the tellings of one run: raw, settled, stored, rebuilt, shown, planned."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from longrun.workflows.contract.events import (
    TERMINAL,
    MessageCompleted,
    ReasoningDelta,
    RunCompleted,
    RunFailed,
    TextDelta,
    ToolCallCompleted,
)
from tests.chaos.log import Log
from tests.chaos.observations import PlannedTurn, RunObserved


def _difference(given: Sequence[bytes], wanted: Sequence[bytes]) -> Iterator[str]:
    for mine, theirs in zip_longest(given, wanted):
        if mine != theirs:
            yield f"{mine!r} stands where {theirs!r} should"
            return


def settled_is_raw_without_what_was_removed(run: RunObserved) -> Iterator[str]:
    """The settled view is the raw one without what was superseded, byte for byte."""
    stands = [line for event, line in zip(run.log.events, run.raw, strict=True) if event.seq not in run.log.removed]
    yield from _difference(run.settled, stands)


def stored_is_raw(run: RunObserved) -> Iterator[str]:
    """The pages show what the database holds."""
    if run.stored is not None:
        yield from _difference(run.stored, run.raw)


def rebuilt_is_settled(run: RunObserved) -> Iterator[str]:
    """History tells the log that stands, byte for byte."""
    if run.rebuilt is not None:
        yield from _difference(run.rebuilt, run.settled)


def runs_are_shown_as_they_ended(run: RunObserved) -> Iterator[str]:
    """Status, output and usage of the run are those of its last event."""
    end = next((event for event in reversed(run.log.life) if event.type in TERMINAL), None)
    if run.shown is None or end is None:
        return
    if f"run.{run.shown.status}" != end.type:
        yield f"the run is shown as {run.shown.status}, its log ends with {end.type}"
    usage = end.model_dump()["usage"]
    if run.shown.usage.model_dump() != usage:
        yield f"the run shows {run.shown.usage}, its log ends with {usage}"
    if isinstance(end, RunCompleted) and run.shown.output != end.output:
        yield f"the run's output is {run.shown.output!r}, its log ends with {end.output!r}"


def runs_do_not_fail(run: RunObserved) -> Iterator[str]:
    """A run fails only where that was asked for."""
    failed = [event for event in run.log.life if isinstance(event, RunFailed)]
    if failed and not run.request.may_fail:
        yield f"it ends with {failed[0].error.type}: {failed[0].error.message}"


def messages_are_the_plan(run: RunObserved) -> Iterator[str]:
    """What stands is what the model was told to say: each word once, in order; a cancel may have cut the last."""
    plan = run.request.plan
    if plan is None:
        return
    said = _said(run.log)
    for position, (finish, turn) in enumerate(said, 1):
        wanted = plan[position - 1] if position <= len(plan) else PlannedTurn()
        if finish == "cancelled":
            whole = wanted.text.startswith(turn.text) and wanted.reasoning.startswith(turn.reasoning)
        else:
            whole = turn == wanted
        if not whole:
            yield f"message {position} says {_stray(turn, wanted)}"
    completed = any(isinstance(event, RunCompleted) for event in run.log.life)
    if len(said) > len(plan) or (completed and len(said) < len(plan)):
        yield f"there are {len(said)} messages of {len(plan)}"


def _said(log: Log) -> list[tuple[str, PlannedTurn]]:
    """The completed messages that stand: why each finished, and what it says."""
    text: dict[str, str] = {}
    reasoning: dict[str, str] = {}
    calls: dict[str, tuple[str, ...]] = {}
    said: list[tuple[str, PlannedTurn]] = []
    for event in log.effective:
        if isinstance(event, TextDelta):
            text[event.message_id] = text.get(event.message_id, "") + event.delta
        elif isinstance(event, ReasoningDelta):
            reasoning[event.message_id] = reasoning.get(event.message_id, "") + event.delta
        elif isinstance(event, ToolCallCompleted):
            calls[event.message_id] = (*calls.get(event.message_id, ()), event.name)
        elif isinstance(event, MessageCompleted):
            name = event.message_id
            turn = PlannedTurn(text.get(name, ""), reasoning.get(name, ""), calls.get(name, ()))
            said.append((event.finish_reason, turn))
    return said


def _stray(turn: PlannedTurn, wanted: PlannedTurn) -> str:
    """The first thing in which two turns differ."""
    for mine, theirs in ((turn.text, wanted.text), (turn.reasoning, wanted.reasoning)):
        for position, (token, planned) in enumerate(zip_longest(mine.split(" "), theirs.split(" "))):
            if token != planned:
                return f"{token!r} as word {position} where {planned!r} should be"
    return f"calls of {turn.calls} where {wanted.calls} should be"
