"""Taking back the end of a log, and in the tables what its events left there."""

from collections.abc import Iterable
from datetime import datetime

from longrun.store.attempts import Doing
from longrun.store.db.database import Tx
from longrun.store.db.sql import run_sql
from longrun.store.step_attempts import FIND_STEP, charge_lost, load_step
from longrun.workflows.contract.events import (
    EVENT,
    TERMINAL,
    ApprovalDecided,
    ApprovalExpired,
    ApprovalRequested,
    Event,
    RunWaiting,
    StepStarted,
    ToolCompleted,
    ToolStarted,
    type_of,
)
from longrun.workflows.contract.steps import StepBegin

_TOLD = TERMINAL | {
    "step.started",
    "tool.started",
    "tool.completed",
    "approval.requested",
    "approval.decided",
    "approval.expired",
}
_WAITING = "run.waiting"


def settle_attempts(tx: Tx, run_id: str, first: int, now: datetime) -> None:
    """Say of what was asked of models after a place that it was in vain, and count it; before it is taken back."""
    for row in run_sql(tx, f"{FIND_STEP} ORDER BY step", run_id).all():
        if StepBegin.model_validate_json(row.begin).stamp.first < first:
            continue
        known = load_step(tx, row)
        if _under_way(tx, known.doing, known.attempt):
            charge_lost(tx, known, known.attempt)
        give_up = (
            "UPDATE attempts SET outcome = 'reset', ended_at = COALESCE(ended_at, ?), provider_state = NULL WHERE"
            " run_id = ? AND step = ? AND call_id = '' AND COALESCE(outcome, '') IN ('', 'completed', 'cancelled')"
        )
        run_sql(tx, give_up, now, run_id, row.step)
        close = (
            "UPDATE attempts SET outcome = 'cancelled', ended_at = ? WHERE run_id = ? AND step = ? AND outcome IS NULL"
        )
        run_sql(tx, close, now, run_id, row.step)


def _under_way(tx: Tx, doing: Doing, attempt: int) -> bool:
    find = "SELECT 1 FROM attempts WHERE run_id = ? AND step = ? AND call_id = '' AND attempt = ? AND outcome IS NULL"
    return run_sql(tx, find, doing.run_id, doing.step, attempt).first() is not None


def retract(tx: Tx, run_id: str, first: int) -> list[Event]:
    """Mark the log from a seq on as superseded, and free the names of its appends.

    Returns:
        The events of it that rows were made from.
    """
    _cut(tx, run_id, first)
    find = "SELECT body FROM segments WHERE run_id = ? AND first_seq >= ? AND NOT superseded ORDER BY first_seq"
    lines = [line for body in run_sql(tx, find, run_id, first).scalars() for line in bytes(body).splitlines()]
    mark = (
        "UPDATE segments SET superseded = TRUE, source = ? || source"
        " WHERE run_id = ? AND first_seq >= ? AND NOT superseded"
    )
    run_sql(tx, mark, f"reset:{first}:", run_id, first)
    return [EVENT.validate_json(line) for line in lines if type_of(line) in _TOLD]


def _cut(tx: Tx, run_id: str, first: int) -> None:
    """Let a segment begin at a seq: one that was put back from history may reach over it."""
    find = (
        "SELECT first_seq, body FROM segments WHERE run_id = ? AND first_seq < ? AND last_seq >= ? AND NOT superseded"
    )
    row = run_sql(tx, find, run_id, first, first).first()
    if row is None:
        return
    lines = bytes(row.body).splitlines()
    before, after = lines[: first - row.first_seq], lines[first - row.first_seq :]
    move = (
        "INSERT INTO segments (run_id, first_seq, last_seq, source, step, attempt, superseded, body)"
        " SELECT run_id, ?, last_seq, source || ?, step, attempt, superseded, ? FROM segments"
        " WHERE run_id = ? AND first_seq = ?"
    )
    run_sql(tx, move, first, f":{first}", b"\n".join(after), run_id, row.first_seq)
    keep = "UPDATE segments SET last_seq = ?, body = ? WHERE run_id = ? AND first_seq = ?"
    run_sql(tx, keep, first - 1, b"\n".join(before), run_id, row.first_seq)


def undo(tx: Tx, run_id: str, first: int, events: Iterable[Event]) -> None:
    """Undo in the tables what the events did that were taken back from a seq on."""
    events = list(events)
    begun = [event.step for event in events if isinstance(event, StepStarted)]
    if begun:
        for table in ("steps", "messages", "calls", "approvals"):
            run_sql(tx, f"DELETE FROM {table} WHERE run_id = ? AND step >= ?", run_id, begun[0])  # noqa: S608 - ours
    for event in reversed(events):
        _undo(tx, run_id, event)
    run_sql(tx, "DELETE FROM turns WHERE run_id = ? AND first_seq >= ?", run_id, first)


def _undo(tx: Tx, run_id: str, event: Event) -> None:
    """One event of a step that stands. A call that has run stays begun: it must not run again as if it had not."""
    if isinstance(event, ToolCompleted):
        message = "(step, place) = (SELECT step, place FROM calls WHERE run_id = ? AND call_id = ?)"
        run_sql(tx, f"DELETE FROM messages WHERE run_id = ? AND {message}", run_id, run_id, event.call_id)  # noqa: S608
        open_again = "attempt = CASE WHEN started IS NULL THEN 0 ELSE attempt END, outcome = NULL"
        run_sql(tx, f"UPDATE calls SET {open_again} WHERE run_id = ? AND call_id = ?", run_id, event.call_id)  # noqa: S608
    elif isinstance(event, ToolStarted):
        run_sql(tx, "UPDATE calls SET started = NULL WHERE run_id = ? AND call_id = ?", run_id, event.call_id)
    elif isinstance(event, ApprovalRequested):
        for call in event.calls:
            run_sql(tx, "DELETE FROM approvals WHERE run_id = ? AND call_id = ?", run_id, call.call_id)
    elif isinstance(event, ApprovalDecided | ApprovalExpired):
        ask = "UPDATE approvals SET status = 'pending', decision = NULL, decided_at = NULL"
        run_sql(tx, f"{ask} WHERE run_id = ? AND call_id = ?", run_id, event.call_id)
    elif event.type in TERMINAL:
        ask = "UPDATE approvals SET status = 'pending', decided_at = NULL WHERE run_id = ? AND status = 'cancelled'"
        run_sql(tx, ask, run_id)


def release_signals(tx: Tx, run_id: str, first: int) -> None:
    """Let a decision be made again that the run does not know any more, and the run be cancelled again."""
    pending = "SELECT 'decide:' || run_id || ':' || call_id FROM approvals WHERE run_id = ? AND status = 'pending'"
    release = (
        "UPDATE outbox SET key = ? || key WHERE run_id = ? AND delivered_at IS NOT NULL"  # noqa: S608 - ours
        f" AND (kind = 'cancel' OR key IN ({pending}))"
    )
    run_sql(tx, release, f"reset:{first}:", run_id, run_id)


def paused_before(tx: Tx, run_id: str, first: int) -> RunWaiting | None:
    """The last pause before a seq."""
    find = "SELECT body FROM segments WHERE run_id = ? AND first_seq < ? AND NOT superseded ORDER BY first_seq DESC"
    for body in run_sql(tx, find, run_id, first).scalars():
        for line in reversed(bytes(body).splitlines()):
            if type_of(line) == _WAITING and isinstance(event := EVENT.validate_json(line), RunWaiting):
                return event
    return None
