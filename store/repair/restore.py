"""Restoring what the store has lost of a run: its rows, its position on its thread, its log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from longrun.store.attempts import restore_attempts
from longrun.store.db.database import Tx
from longrun.store.db.sql import find_row, insert_into, run_sql
from longrun.store.db.tables import (
    ApprovalRow,
    AttemptRow,
    CallRow,
    MessageRow,
    ResultRow,
    RunRow,
    SegmentRow,
    StepRow,
    ThreadRow,
    TurnRow,
)
from longrun.store.log import restore
from longrun.store.runs import insert_run
from longrun.store.traces import settle
from longrun.workflows import positions
from longrun.workflows.contract.attempts import AttemptEntry
from longrun.workflows.contract.messages import Usage
from longrun.workflows.contract.results import Finished, ModelReply, Result, ToolOutcome
from longrun.workflows.contract.runs import FINAL, RunOrder

_TABLES = (TurnRow, MessageRow, StepRow, CallRow, ApprovalRow, AttemptRow, ResultRow)


@dataclass(frozen=True)
class RunHistory:
    """A run as Temporal's history tells it.

    ``results`` are those that stand, in the order of their events; ``executions`` the Temporal run ids of its chain.
    ``scheduled`` are the calls without a result, with the attempt up to which they may have started. ``lines`` are the
    events by seq; up to ``last_seq`` the log is complete: a seq without a line there had text that is lost for good.
    Beyond it there may be lines whose predecessors are still to come.
    """

    order: RunOrder
    executions: Sequence[str]
    results: Sequence[Result]
    scheduled: Mapping[str, int]
    lines: Mapping[int, bytes]
    last_seq: int

    @property
    def usage(self) -> Usage:
        """What the run's messages have used."""
        return sum((result.usage for result in self.results if isinstance(result, ModelReply)), Usage())

    @property
    def final(self) -> bool:
        """Whether the run has ended."""
        return any(isinstance(result, Finished) for result in self.results)


def restore_run(tx: Tx, history: RunHistory) -> int:
    """Restore what is missing of a run and leave what is there.

    The rows are restored where there are none, and where the store's are older: not final, though the run has ended.

    Returns:
        The seq up to which the run's log is complete now.
    """
    run_id, last_seq = history.order.run_id, history.last_seq
    known = find_row(tx, RunRow, col(RunRow.id) == run_id)
    if known is None or (known.status not in FINAL and history.final):
        _restore_rows(tx, history, known)
        last_seq = max(history.lines, default=last_seq)  # what lies between was written by calls that are lost too
    restore(tx, run_id, history.lines, last_seq)
    return complete_to(tx, run_id)


def complete_to(tx: Tx, run_id: str) -> int:
    """The last seq before which the log has no gap."""
    last = 0
    segments = select(col(SegmentRow.first_seq), col(SegmentRow.last_seq)).where(col(SegmentRow.run_id) == run_id)
    for first, following in tx.execute(segments.order_by(col(SegmentRow.first_seq))):
        if first > last + 1:
            break
        last = max(last, following)
    return last


def _restore_rows(tx: Tx, history: RunHistory, known: RunRow | None) -> None:
    order = history.order
    if known is None:
        position, idempotency = _make_position(tx, order), (None, None)
        insert_into(tx, "heads", run_id=order.run_id, last_seq=0)
    else:
        position, idempotency = known.position, (known.idempotency_key, known.idempotency_hash)
        for table in _TABLES:
            tx.execute(delete(table).where(col(table.run_id) == order.run_id))
        tx.execute(delete(RunRow).where(col(RunRow.id) == order.run_id))
    insert_run(tx, order, position, idempotency)
    for result in history.results:
        settle(tx, order.run_id, result, positions.last_seq(result, order.run_id))
    restore_attempts(tx, order.run_id, chain.from_iterable(map(_attempts_of, history.results)))
    _restore_ledger(tx, order.run_id, history.scheduled)
    found = "UPDATE runs SET dispatched = TRUE, executions = ? WHERE id = ?"
    run_sql(tx, found, " ".join(history.executions) or None, order.run_id)
    _seat(tx, order)


def _attempts_of(result: Result) -> Sequence[AttemptEntry]:
    if isinstance(result, Finished):
        return [entry for step in result.open_steps for entry in step.attempts]
    return result.attempts if isinstance(result, ModelReply | ToolOutcome) else ()


def _restore_ledger(tx: Tx, run_id: str, scheduled: Mapping[str, int]) -> None:
    """Set the fences to the last attempts; a call that was scheduled may have started, and counts as interrupted."""
    for table, call_id in (("steps", "''"), ("calls", "calls.call_id")):
        last = (
            f"SELECT MAX(a.attempt) FROM attempts AS a WHERE a.run_id = {table}.run_id"  # noqa: S608 - ours
            f" AND a.step = {table}.step AND a.call_id = {call_id}"
        )
        run_sql(tx, f"UPDATE {table} SET attempt = COALESCE(({last}), attempt) WHERE run_id = ?", run_id)  # noqa: S608
    for call_id, attempt in scheduled.items():
        run_sql(tx, "UPDATE calls SET attempt = ? WHERE run_id = ? AND call_id = ?", attempt, run_id, call_id)


def _make_position(tx: Tx, order: RunOrder) -> int:
    """The run's position among those of its thread, by the time of acceptance; later ones move on."""
    earlier = or_(
        col(RunRow.created_at) < order.accepted_at,
        and_(col(RunRow.created_at) == order.accepted_at, col(RunRow.id) < order.run_id),
    )
    same = col(RunRow.thread_id) == order.thread_id
    before = tx.execute(select(func.coalesce(func.max(RunRow.position), 0)).where(same, earlier)).scalar_one()
    tx.execute(update(RunRow).where(same, col(RunRow.position) > before).values(position=RunRow.position + 1))
    return before + 1


def _seat(tx: Tx, order: RunOrder) -> None:
    """Give a run that goes on its thread, and let a run that has ended pass it to the next."""
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    thread = {"id": order.thread_id, "created_at": order.accepted_at}
    tx.execute(insert(ThreadRow).values(thread).on_conflict_do_nothing())
    this = update(ThreadRow).where(col(ThreadRow.id) == order.thread_id)
    status: str = run_sql(tx, "SELECT status FROM runs WHERE id = ?", order.run_id).scalar_one()
    if status not in FINAL:
        tx.execute(this.where(col(ThreadRow.active_run).is_(None)).values(active_run=order.run_id))
        return
    following = (
        select(col(RunRow.id))
        .where(col(RunRow.thread_id) == order.thread_id, col(RunRow.status) == "queued")
        .order_by(col(RunRow.position))
        .limit(1)
    )
    following_id = tx.execute(following).scalar()
    tx.execute(this.where(col(ThreadRow.active_run) == order.run_id).values(active_run=following_id))
