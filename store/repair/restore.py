"""Putting back what the store has lost of a run: its rows, its place on its thread, its log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from longrun.store.db.database import Tx
from longrun.store.db.sql import find_row, insert_row
from longrun.store.db.tables import (
    ApprovalRow,
    AttemptRow,
    CallRow,
    HeadRow,
    MessageRow,
    Row,
    RunRow,
    SegmentRow,
    StepRow,
    ThreadRow,
    TurnRow,
)
from longrun.store.log import restore
from longrun.workflows.contract.runs import FINAL


@dataclass(frozen=True)
class RunRows:
    """A run's rows without its segments. The run's ``place`` is given when it is put back."""

    run: RunRow
    turns: Sequence[TurnRow]
    messages: Sequence[MessageRow]
    steps: Sequence[StepRow]
    calls: Sequence[CallRow]
    approvals: Sequence[ApprovalRow]
    attempts: Sequence[AttemptRow]

    @property
    def parts(self) -> list[Row]:
        """All of them but the run itself."""
        return [*self.turns, *self.messages, *self.steps, *self.calls, *self.approvals, *self.attempts]


def restore_run(tx: Tx, rows: RunRows, lines: Mapping[int, bytes], last_seq: int) -> int:
    """Put back what is missing of a run and leave what is there.

    The rows are put back where there are none, and where the store's are older: not final, though the run has ended.

    Returns:
        The seq up to which the run's log is complete now.
    """
    run_id = rows.run.id
    known = find_row(tx, RunRow, col(RunRow.id) == run_id)
    if known is None or (known.status not in FINAL and rows.run.status in FINAL):
        _put_rows(tx, rows, known)
        last_seq = max(lines, default=last_seq)  # what lies between was written by calls that the store lost too
    restore(tx, run_id, lines, last_seq)
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


def _put_rows(tx: Tx, rows: RunRows, known: RunRow | None) -> None:
    run = rows.run.model_copy()
    if known is None:
        run.place = _make_place(tx, run)
        insert_row(tx, HeadRow(run_id=run.id))
    else:
        run.place = known.place
        run.idempotency_key, run.idempotency_hash = known.idempotency_key, known.idempotency_hash
        for kind in (TurnRow, MessageRow, StepRow, CallRow, ApprovalRow, AttemptRow):
            tx.execute(delete(kind).where(col(kind.run_id) == run.id))
        tx.execute(delete(RunRow).where(col(RunRow.id) == run.id))
    for row in (run, *rows.parts):
        insert_row(tx, row)
    _seat(tx, run)


def _make_place(tx: Tx, run: RunRow) -> int:
    """The run's place among those of its thread, by the time of acceptance; later ones move on."""
    earlier = or_(
        col(RunRow.created_at) < run.created_at,
        and_(col(RunRow.created_at) == run.created_at, col(RunRow.id) < run.id),
    )
    same = col(RunRow.thread_id) == run.thread_id
    before = tx.execute(select(func.coalesce(func.max(RunRow.place), 0)).where(same, earlier)).scalar_one()
    tx.execute(update(RunRow).where(same, col(RunRow.place) > before).values(place=RunRow.place + 1))
    return before + 1


def _seat(tx: Tx, run: RunRow) -> None:
    """Give a run that goes on its thread, and let a run that has ended leave it to the next."""
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    thread = {"id": run.thread_id, "created_at": run.created_at}
    tx.execute(insert(ThreadRow).values(thread).on_conflict_do_nothing())
    this = update(ThreadRow).where(col(ThreadRow.id) == run.thread_id)
    if run.status not in FINAL:
        tx.execute(this.where(col(ThreadRow.active_run).is_(None)).values(active_run=run.id))
        return
    following = (
        select(col(RunRow.id))
        .where(col(RunRow.thread_id) == run.thread_id, col(RunRow.status) == "queued")
        .order_by(col(RunRow.place))
        .limit(1)
    )
    following_id = tx.execute(following).scalar()
    tx.execute(this.where(col(ThreadRow.active_run) == run.id).values(active_run=following_id))
