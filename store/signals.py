"""The outbox of signals: what was accepted for a workflow, kept until it has been delivered."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, select, update
from sqlmodel import col

from store.database import Database, Tx
from store.rows import find_row, insert_row
from store.tables import SignalRow

SignalKind = Literal["decide", "cancel", "say"]


@dataclass(frozen=True)
class Signal:
    """A signal to send. ``body`` is the JSON of its one argument; two with the same ``key`` are one."""

    run_id: str
    key: str
    kind: SignalKind
    body: str


class Signals:
    """Reads and writes the outbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(self, signal: Signal, now: datetime) -> Signal:
        """Keep a signal; the one that stands under its key, which is an earlier one if there was one.

        Raises:
            StoreAwayError: The database failed.
        """

        def job(tx: Tx) -> Signal:
            known = find_row(tx, SignalRow, col(SignalRow.key) == signal.key)
            if known is not None:
                return Signal(known.run_id, known.key, signal.kind, known.body)
            row = SignalRow(run_id=signal.run_id, key=signal.key, kind=signal.kind, body=signal.body, created_at=now)
            insert_row(tx, row)
            return signal

        return await self._database.write(job)

    async def delivered(self, key: str, now: datetime) -> None:
        """Remember that a signal has reached its workflow, or that there is none to reach any more."""
        statement = update(SignalRow).where(col(SignalRow.key) == key).values(delivered_at=now)
        await self._database.write(lambda tx: tx.execute(statement))

    async def undelivered(self, before: datetime) -> list[Signal]:
        """Signals that were accepted before a time and have not been delivered, in order."""
        return await self._waiting(col(SignalRow.created_at) < before)

    async def undelivered_of(self, run_id: str) -> list[Signal]:
        """Signals of a run that have not been delivered, in the order in which they were accepted."""
        return await self._waiting(col(SignalRow.run_id) == run_id)

    async def _waiting(self, which: ColumnElement[bool]) -> list[Signal]:
        query = select(SignalRow).where(col(SignalRow.delivered_at).is_(None), which).order_by(col(SignalRow.id))
        rows = await self._database.read(lambda session: session.scalars(query).all())
        return [Signal(row.run_id, row.key, row.kind, row.body) for row in rows]  # pyright: ignore[reportArgumentType] # written from a SignalKind above
