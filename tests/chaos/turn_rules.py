"""What must hold of the pauses of a run, by its log."""

import itertools
from collections import Counter
from collections.abc import Iterator

from longrun.workflows.contract.events import (
    TERMINAL,
    ApprovalDecided,
    ApprovalExpired,
    ApprovalRequested,
    RunCancelled,
    RunFailed,
    RunResumed,
    RunWaiting,
    TurnEnded,
)
from tests.chaos.log import Log, some


def turns_are_counted(log: Log) -> Iterator[str]:
    """A turn's end comes right before the ``run.*`` event of a pause or of the end; turns are 1, 2, 3 …."""
    turn = 1
    for before, event in itertools.pairwise(log.life):
        ends = event.type in TERMINAL or isinstance(event, RunWaiting)
        if ends != isinstance(before, TurnEnded):
            yield f"{event.type} {event.seq} comes after {before.type}"
        elif isinstance(before, TurnEnded):
            if before.turn != turn:
                yield f"turn {before.turn} ends at {before.seq}, it was turn {turn}"
            if (before.stop_reason == "requires_approval") != isinstance(event, RunWaiting):
                yield f"{event.type} {event.seq} comes after a turn that ended by {before.stop_reason}"
        if isinstance(event, RunResumed):
            turn = event.turn if event.seq in log.resets else turn + 1
            if event.turn != turn:
                yield f"turn {event.turn} begins at {event.seq}, it should be {turn}"


def questions_are_settled_once(log: Log) -> Iterator[str]:
    """What was asked is decided or expires, once; only a run that did not complete may leave a question open."""
    requested: Counter[str] = Counter()
    settled: Counter[str] = Counter()
    for event in log.life:
        if isinstance(event, ApprovalRequested):
            requested.update(call.call_id for call in event.calls)
        elif isinstance(event, ApprovalDecided | ApprovalExpired):
            settled[event.call_id] += 1
            if settled[event.call_id] > requested[event.call_id]:
                yield f"{event.type} {event.seq}: call {event.call_id} was asked {requested[event.call_id]} times"
    ids = Counter(event.decision_id for event in log.life if isinstance(event, ApprovalDecided))
    yield from (f"the decision {name} counted {count} times" for name, count in ids.items() if name and count > 1)
    waits = sum(isinstance(event, RunWaiting) for event in log.life)
    resumes = sum(isinstance(event, RunResumed) and event.seq not in log.resets for event in log.life)
    if still := requested - settled:
        if not isinstance(log.events[-1], RunCancelled | RunFailed):
            yield f"nobody settled {some(still)}"
        resumes += 1
    if waits != resumes and any(event.type in TERMINAL for event in log.life):
        yield f"the run waited {waits} times and resumed {resumes} times"
