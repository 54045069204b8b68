"""The outbox of signals: what was accepted for a workflow, kept until it has been delivered."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, update
from sqlmodel import col, select

from longrun.store.db.database import Database, Tx
from longrun.store.db.sql import find_row, insert_row, run_sql
from longrun.store.db.tables import OutboxRow
from longrun.store.log import lock
from longrun.workflows.contract.runs import FINAL
from longrun.workflows.inbox import MOST_MESSAGES

SignalKind = Literal["decide", "cancel", "say"]


MOST_CHARS = 250_000
"""Characters of the messages that wait for a run's next step; it keeps a million bytes."""


_PENDING = "FROM outbox WHERE run_id = ? AND kind = 'say' AND NOT received"


class TooManySaidError(Exception):
    """So many messages wait for a run's next step that it would drop another one."""


class TooLateError(Exception):
    """The run has ended."""


@dataclass(frozen=True)
class Signal:
    """A signal to send. ``body`` is the JSON of its one argument; two with the same ``key`` are one."""

    run_id: str
    key: str
    kind: SignalKind
    body: str


def release_signals(tx: Tx, run_id: str, first: int) -> None:
    """Let the calls that wait again after a rewind to ``first`` be decided again, and the run be cancelled again."""
    pending = "SELECT 'decide:' || run_id || ':' || call_id FROM approvals WHERE run_id = ? AND status = 'pending'"
    release = (
        "UPDATE outbox SET key = ? || key WHERE run_id = ? AND delivered_at IS NOT NULL"  # noqa: S608 - ours
        f" AND (kind = 'cancel' OR key IN ({pending}))"
    )
    run_sql(tx, release, f"rewind:{first}:", run_id, run_id)


def pending_messages(tx: Tx, run_id: str) -> int:
    """How many users' messages were accepted that no step of a run has."""
    return run_sql(tx, f"SELECT COUNT(*) {_PENDING}", run_id).scalar_one()


def _make_room(tx: Tx, signal: Signal) -> None:
    lock(tx, signal.run_id)
    status = run_sql(tx, "SELECT status FROM runs WHERE id = ?", signal.run_id).scalar()
    if status in FINAL:
        raise TooLateError(f"run {signal.run_id} is {status}")
    query = f"SELECT COUNT(*) AS count, SUM(LENGTH(body)) AS chars {_PENDING}"
    waiting = run_sql(tx, query, signal.run_id).mappings().one()
    count, chars = int(waiting["count"]), int(waiting["chars"] or 0)
    if count >= MOST_MESSAGES or chars + len(signal.body) > MOST_CHARS:
        raise TooManySaidError(f"{count} messages wait for the next step of run {signal.run_id}; no more fit")


class Outbox:
    """Reads and writes the outbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(self, signal: Signal, now: datetime) -> Signal:
        """Keep a signal; the one that stands under its key, which is an earlier one if there was one.

        Raises:
            TooLateError: The run has ended; a message to it would be lost.
            TooManySaidError: Too many messages wait for the run's next step.
            StoreUnavailableError: The database failed.
        """

        def job(tx: Tx) -> Signal:
            known = find_row(tx, OutboxRow, col(OutboxRow.key) == signal.key)
            if known is not None:
                return Signal(known.run_id, known.key, signal.kind, known.body)
            if signal.kind == "say":
                _make_room(tx, signal)
            row = OutboxRow(
                run_id=signal.run_id, key=signal.key, kind=signal.kind, body=signal.body, created_at=now, received=False
            )
            insert_row(tx, row)
            return signal

        return await self._database.write(job)

    async def delivered(self, key: str, now: datetime) -> None:
        """Remember that a signal has reached its workflow, or that there is none to reach any more."""
        statement = update(OutboxRow).where(col(OutboxRow.key) == key).values(delivered_at=now)
        await self._database.write(lambda tx: tx.execute(statement))

    async def undelivered(self, before: datetime) -> list[Signal]:
        """Undelivered signals that were accepted before a time, oldest first."""
        return await self._waiting(col(OutboxRow.created_at) < before)

    async def undelivered_of(self, run_id: str) -> list[Signal]:
        """Undelivered signals of a run, oldest first."""
        return await self._waiting(col(OutboxRow.run_id) == run_id)

    async def _waiting(self, which: ColumnElement[bool]) -> list[Signal]:
        query = select(OutboxRow).where(col(OutboxRow.delivered_at).is_(None), which).order_by(col(OutboxRow.id))
        async with self._database.session() as session:
            rows = (await session.exec(query)).all()
        return [Signal(row.run_id, row.key, row.kind, row.body) for row in rows]  # pyright: ignore[reportArgumentType] # written from a SignalKind above
