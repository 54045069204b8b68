"""What must hold of the log of every run that has ended, whatever happened to it on its way."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence

from workflows.contract.events import (
    EVENT,
    TERMINAL,
    ApprovalDecided,
    ApprovalExpired,
    ApprovalRequested,
    AttemptSuperseded,
    Event,
    LegEnded,
    MessageCompleted,
    ReasoningCompleted,
    ReasoningDelta,
    RunCancelled,
    RunResumed,
    RunStarted,
    RunWaiting,
    StepStarted,
    TextCompleted,
    TextDelta,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCompleted,
    ToolProgress,
    ToolStarted,
)

Delta = TextDelta | ReasoningDelta | ToolCallDelta
Whole = TextCompleted | ReasoningCompleted | ToolCallCompleted


def parsed(lines: Iterable[bytes | str]) -> list[Event]:
    """The events of JSON lines, or of the ``data`` of SSE frames."""
    return [EVENT.validate_json(line) for line in lines]


def check_log(events: Sequence[Event]) -> None:
    """Check the whole log of a run that has ended, superseded events included."""
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    check_settled(events)


def check_settled(events: Sequence[Event]) -> None:
    """Check the log of a run that has ended; events of superseded attempts may be missing from it."""
    assert len({event.run_id for event in events}) == 1
    seqs = [event.seq for event in events]
    assert seqs == sorted(set(seqs))
    assert isinstance(events[0], RunStarted)
    assert events[0].seq == 1
    assert [event.type for event in events if event.type in TERMINAL] == [events[-1].type]
    _check_missing(events)
    _check_superseded(events)
    _check_steps(events)
    _check_messages(standing(events))
    _check_calls(standing(events))
    _check_legs(events)
    _check_approvals(events)


def standing(events: Sequence[Event]) -> list[Event]:
    """The events without the deltas that were superseded."""
    gone = _superseded_seqs(events)
    return [event for event in events if event.seq not in gone]


def settled_text(events: Sequence[Event]) -> str:
    """All text deltas that stand, joined."""
    return "".join(event.delta for event in standing(events) if isinstance(event, TextDelta))


def of_type(events: Sequence[Event], kind: str) -> list[Event]:
    """The events of a type."""
    return [event for event in events if event.type == kind]


def _superseded_seqs(events: Sequence[Event]) -> set[int]:
    attempts = [event for event in events if isinstance(event, AttemptSuperseded)]
    return {
        event.seq
        for gone in attempts
        for event in events
        if isinstance(event, Delta | Whole)
        and gone.first <= event.seq <= gone.last
        and (event.step, event.attempt) == (gone.step, gone.attempt)
    }


def _check_missing(events: Sequence[Event]) -> None:
    """Only what was superseded may be missing."""
    ranges = [range(event.first, event.last + 1) for event in events if isinstance(event, AttemptSuperseded)]
    allowed = {seq for each in ranges for seq in each}
    there = {event.seq for event in events}
    missing = set(range(1, events[-1].seq + 1)) - there
    assert missing <= allowed, f"the events {sorted(missing - allowed)} are missing"


def _check_superseded(events: Sequence[Event]) -> None:
    """Each notice comes after the text it speaks of, covers exactly that, and no attempt is superseded twice."""
    notices = [event for event in events if isinstance(event, AttemptSuperseded)]
    by_attempt = Counter((notice.step, notice.attempt) for notice in notices)
    assert all(count == 1 for count in by_attempt.values()), by_attempt
    for notice in notices:
        theirs = [
            event.seq
            for event in events
            if isinstance(event, Delta | Whole) and (event.step, event.attempt) == (notice.step, notice.attempt)
        ]
        assert notice.first <= notice.last < notice.seq
        if theirs:
            assert (min(theirs), max(theirs)) == (notice.first, notice.last), notice
    finished = {(event.step, event.attempt) for event in events if isinstance(event, MessageCompleted)}
    assert not finished & set(by_attempt)


def _check_steps(events: Sequence[Event]) -> None:
    begun = [event.step for event in events if isinstance(event, StepStarted)]
    assert begun == list(range(1, len(begun) + 1))
    ended = [event.step for event in events if isinstance(event, MessageCompleted)]
    assert ended == sorted(set(ended) & set(begun), key=lambda step: step or 0)


def _check_messages(events: Sequence[Event]) -> None:
    """A part's deltas come before its completion and join to it; only a cancelled message has open parts."""
    deltas: dict[tuple[str, int], list[str]] = {}
    wholes: dict[tuple[str, int], Whole] = {}
    reasons: dict[str, str] = {}
    for event in events:
        if isinstance(event, MessageCompleted):
            reasons[event.message_id] = event.finish_reason
        elif isinstance(event, Delta | Whole):
            assert event.message_id not in reasons, f"{event} comes after its message"
            key = (event.message_id, event.part)
            assert key not in wholes, f"{event} comes after its part"
            if isinstance(event, Whole):
                wholes[key] = event
            else:
                deltas.setdefault(key, []).append(event.delta)
    for key, whole in wholes.items():
        text = whole.arguments if isinstance(whole, ToolCallCompleted) else whole.text
        assert "".join(deltas.get(key, [])) == text
    for message_id, _ in {*deltas, *wholes}:
        assert message_id in reasons, f"message {message_id} stands but is not completed"
    assert all(reasons[message_id] == "cancelled" for message_id, part in deltas if (message_id, part) not in wholes)


def _check_calls(events: Sequence[Event]) -> None:
    """Each call of a message has one result, after it; nothing else has."""
    called = [event for event in events if isinstance(event, ToolCallCompleted)]
    results = [event for event in events if isinstance(event, ToolCompleted)]
    starts = [event for event in events if isinstance(event, ToolStarted)]
    assert sorted(event.call_id for event in called) == sorted(event.call_id for event in results)
    assert len({event.call_id for event in starts}) == len(starts)
    made = {event.call_id: event.seq for event in called}
    ended = {event.call_id: event.seq for event in results}
    assert all(made[call_id] < seq for call_id, seq in ended.items())
    begun = {event.call_id: event.seq for event in starts}
    assert all(made[call_id] < seq < ended[call_id] for call_id, seq in begun.items())
    reports = [event for event in events if isinstance(event, ToolProgress)]
    assert all(begun[event.call_id] < event.seq < ended[event.call_id] for event in reports)


def _check_legs(events: Sequence[Event]) -> None:
    """A leg's end comes right before the ``run.*`` event of a pause or of the end; legs are numbered."""
    leg = 1
    for before, event in itertools.pairwise(events):
        if isinstance(before, LegEnded):
            assert event.type in TERMINAL or isinstance(event, RunWaiting)
            assert before.leg == leg
            assert (before.stop_reason == "requires_approval") == isinstance(event, RunWaiting)
        if isinstance(event, RunResumed):
            leg += 1
            assert event.leg == leg
        if event.type in TERMINAL or isinstance(event, RunWaiting):
            assert isinstance(before, LegEnded)


def _check_approvals(events: Sequence[Event]) -> None:
    """What was asked is decided or expires, once; only the end of the run may leave a question open."""
    asked = [call.call_id for event in events if isinstance(event, ApprovalRequested) for call in event.calls]
    settled = [event.call_id for event in events if isinstance(event, ApprovalDecided | ApprovalExpired)]
    assert len(set(settled)) == len(settled)
    assert set(settled) <= set(asked)
    waits = sum(isinstance(event, RunWaiting) for event in events)
    resumes = sum(isinstance(event, RunResumed) for event in events)
    if set(asked) - set(settled):
        assert isinstance(events[-1], RunCancelled) or events[-1].type == "run.failed"
        assert waits == resumes + 1
    else:
        assert waits == resumes
