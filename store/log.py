"""The log: events of a run, densely numbered, appended by the holder of the fence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlmodel import col

from longrun.store.db.database import Tx, touch
from longrun.store.db.sql import insert_into, run_sql
from longrun.store.db.tables import HeadRow, SegmentRow
from longrun.workflows.contract.events import Event, encode, number
from longrun.workflows.contract.results import Span
from longrun.workflows.contract.runs import FINAL

_LONGEST = 500
_UNTOLD = 10_000
"""Events that an attempt may have written after its last heartbeat."""


class LostRunError(Exception):
    """The store has no such run: it has lost it, and gets it back from history."""


class FencedError(Exception):
    """A later attempt has taken over, or the run is unknown: nothing was written."""


@dataclass(frozen=True)
class Append:
    """Events to add to a run.

    ``source`` names this append within the run: a second one of the same name fails. With ``step`` and ``attempt`` the
    events are deltas, and superseded with that attempt.
    """

    run_id: str
    source: str
    events: Sequence[Event]
    step: int | None = None
    attempt: int | None = None


@dataclass(frozen=True)
class Fence:
    """A condition of an append, as SQL over the run's rows."""

    sql: str
    values: tuple[str | int, ...]


def step_fence(run_id: str, step: int, attempt: int) -> Fence:
    """Holds while ``attempt`` is the newest one of the step and the step is open."""
    sql = "SELECT 1 FROM steps WHERE run_id = ? AND step = ? AND attempt = ? AND NOT closed"
    return Fence(sql, (run_id, step, attempt))


def call_fence(run_id: str, call_id: str, attempt: int) -> Fence:
    """Holds while ``attempt`` is the newest one of the call, no later one is in question, and the call is open."""
    sql = (
        "SELECT 1 FROM calls WHERE run_id = ? AND call_id = ? AND attempt = ? AND NOT closed"
        " AND COALESCE(question, 0) <= attempt"
    )
    return Fence(sql, (run_id, call_id, attempt))


def check(tx: Tx, fence: Fence) -> None:
    """Refuse what a fence does not let through.

    Raises:
        FencedError: The fence does not hold.
    """
    if run_sql(tx, fence.sql, *fence.values).first() is None:
        raise FencedError(f"an attempt of run {fence.values[0]} was overtaken")


def lock(tx: Tx, run_id: str) -> None:
    """Wait until nobody else writes to the run; held to the end of the transaction.

    What is read after it is up to date. SQLite has one writer at a time anyway.
    """
    if tx.dialect.name != "sqlite":
        run_sql(tx, "SELECT last_seq FROM heads WHERE run_id = ? FOR UPDATE", run_id)


def lock_open(tx: Tx, run_id: str) -> None:
    """``lock``, for what must not happen to a run that has ended.

    Raises:
        LostRunError: There is no such run.
        FencedError: It has ended.
    """
    lock(tx, run_id)
    status = run_sql(tx, "SELECT status FROM runs WHERE id = ?", run_id).scalar()
    if status is None:
        raise LostRunError(f"the store has no run {run_id}")
    if status in FINAL:
        raise FencedError(f"run {run_id} has ended")


def append(tx: Tx, entry: Append, fence: Fence | None = None) -> Span:
    """Append events at the next positions.

    Raises:
        FencedError: The fence does not hold, or there is no such run.
    """
    if fence is not None:
        lock(tx, entry.run_id)
    count = len(entry.events)
    grow, values = "UPDATE heads SET last_seq = last_seq + ? WHERE run_id = ?", (count, entry.run_id)
    if fence is not None:
        grow, values = f"{grow} AND EXISTS ({fence.sql})", (*values, *fence.values)
    head = run_sql(tx, f"{grow} RETURNING last_seq", *values).first()
    if head is None:
        raise FencedError(f"{entry.source} of run {entry.run_id} was overtaken")
    last: int = head[0]
    first = last - count + 1
    insert_into(
        tx,
        "segments",
        run_id=entry.run_id,
        first_seq=first,
        last_seq=last,
        source=entry.source,
        step=entry.step,
        attempt=entry.attempt,
        superseded=False,
        body=b"\n".join(number(first + i, encode(event)) for i, event in enumerate(entry.events)),
    )
    touch(tx, entry.run_id)
    return Span(first=first, last=last)


def supersede(tx: Tx, run_id: str, step: int, attempt: int) -> Span | None:
    """Mark the deltas of an attempt as superseded; ``None`` if there are none."""
    theirs = (
        col(SegmentRow.run_id) == run_id,
        col(SegmentRow.step) == step,
        col(SegmentRow.attempt) == attempt,
    )
    bounds = select(func.min(col(SegmentRow.first_seq)), func.max(col(SegmentRow.last_seq))).where(*theirs)
    first, last = tx.execute(bounds).one()
    if not first:
        return None
    tx.execute(update(SegmentRow).where(*theirs).values(superseded=True))
    return Span(first=first, last=last)


def skip_seen(tx: Tx, run_id: str, seen: int, step: int | None = None, attempt: int | None = None) -> bool:
    """Leave out the positions of events that readers have seen and the store has lost, so that no seq is given twice.

    Args:
        tx: The transaction.
        run_id: The run.
        seen: A seq that readers may have seen; there may be some more of which nobody was told.
        step: The step of which the events were deltas, if they were.
        attempt: The attempt of that step.

    Returns:
        Whether any were lost.
    """
    lock(tx, run_id)
    head: int | None = run_sql(tx, "SELECT last_seq FROM heads WHERE run_id = ?", run_id).scalar()
    if head is None or head >= seen:
        return False
    first, last = head + 1, seen + _UNTOLD
    insert_into(
        tx,
        "segments",
        run_id=run_id,
        first_seq=first,
        last_seq=last,
        source=f"lost:{first}",
        step=step,
        attempt=attempt,
        superseded=True,
        body=b"",
    )
    run_sql(tx, "UPDATE heads SET last_seq = ? WHERE run_id = ?", last, run_id)
    touch(tx, run_id)
    return True


def last_seq_of(tx: Tx, run_id: str) -> int:
    """The last seq of a run's log."""
    return run_sql(tx, "SELECT last_seq FROM heads WHERE run_id = ?", run_id).scalar_one()


def retract(tx: Tx, run_id: str, first: int) -> None:
    """Mark the log from a seq on as superseded, and free the sources of its appends."""
    _cut(tx, run_id, first)
    mark = (
        "UPDATE segments SET superseded = TRUE, source = ? || source"
        " WHERE run_id = ? AND first_seq >= ? AND NOT superseded"
    )
    run_sql(tx, mark, f"rewind:{first}:", run_id, first)


def _cut(tx: Tx, run_id: str, first: int) -> None:
    """Split the segment that reaches over a seq: one that was restored from history may."""
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


def restore(tx: Tx, run_id: str, lines: Mapping[int, bytes], last_seq: int) -> None:
    """Restore rebuilt events where segments are missing, and mark the positions of those that are lost for good.

    Args:
        tx: The transaction.
        run_id: The run.
        lines: The events that stand, by seq.
        last_seq: Up to where the rebuilt log is complete.
    """
    lock(tx, run_id)
    have = tx.execute(
        select(col(SegmentRow.first_seq), col(SegmentRow.last_seq))
        .where(col(SegmentRow.run_id) == run_id)
        .order_by(col(SegmentRow.first_seq))
    ).all()
    covered = {seq for first, last in have for seq in range(first, last + 1)}
    missing = [seq for seq in range(1, last_seq + 1) if seq not in covered]
    for first, last, kept in _stretches(missing, lines):
        insert_into(
            tx,
            "segments",
            run_id=run_id,
            first_seq=first,
            last_seq=last,
            source=f"restored:{first}",
            superseded=not kept,
            body=b"\n".join(lines[seq] for seq in range(first, last + 1)) if kept else b"",
        )
    tx.execute(
        update(HeadRow).where(col(HeadRow.run_id) == run_id, col(HeadRow.last_seq) < last_seq).values(last_seq=last_seq)
    )
    touch(tx, run_id)


def _stretches(seqs: Iterable[int], lines: Mapping[int, bytes]) -> list[tuple[int, int, bool]]:
    """Runs of neighbouring seqs that are all known or all lost, at most 500 long."""
    found: list[tuple[int, int, bool]] = []
    for seq in seqs:
        kept = seq in lines
        if found and found[-1][1] == seq - 1 and found[-1][2] == kept and seq - found[-1][0] < _LONGEST:
            found[-1] = (found[-1][0], seq, kept)
        else:
            found.append((seq, seq, kept))
    return found
