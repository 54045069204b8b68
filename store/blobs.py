"""What is too large for a message: kept whole, under the SHA-256 of its bytes, and shown by reference."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select

from longrun.store.db.database import Database, Tx
from longrun.store.db.sql import run_sql
from longrun.store.db.tables import BlobRow
from longrun.store.journal import find
from longrun.workflows.contract.results import ToolOutcome

MOST_BYTES = 16 * 1024 * 1024
"""Bytes of one result that are kept."""


@dataclass(frozen=True)
class KeptResult:
    """A call's result. ``body`` is all of it, or ``None`` where the store has only its beginning any more."""

    outcome: ToolOutcome
    body: bytes | None


def keep_blob(tx: Tx, text: str, now: datetime) -> str:
    """Keep a text, or its first ``MOST_BYTES``; its id."""
    body = text.encode()[:MOST_BYTES].decode(errors="ignore").encode()
    blob_id = hashlib.sha256(body).hexdigest()
    keep = "INSERT INTO blobs (id, size, body, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
    run_sql(tx, keep, blob_id, len(body), body, now)
    return blob_id


class Blobs:
    """Reads and writes what is kept whole."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, text: str, now: datetime) -> str:
        """Keep a text, or its first ``MOST_BYTES``; its id.

        Raises:
            StoreUnavailableError: The database failed.
        """
        return await self._database.write(lambda tx: keep_blob(tx, text, now))

    async def get(self, blob_id: str) -> bytes | None:
        """What is kept under an id.

        Raises:
            StoreUnavailableError: The database failed.
        """
        async with self._database.session() as session:
            return (await session.exec(select(col(BlobRow.body)).where(col(BlobRow.id) == blob_id))).first()

    async def result(self, run_id: str, call_id: str) -> KeptResult | None:
        """The result of a call; ``None`` if there is no such call, or it has none.

        Raises:
            StoreUnavailableError: The database failed.
        """
        async with self._database.session() as session:
            connection = await session.connection()
            outcome = await connection.run_sync(find, run_id, f"call:{call_id}:outcome", ToolOutcome)
            if outcome is None:
                return None
            if outcome.whole is None:
                return KeptResult(outcome, outcome.content.encode())
            blob = select(col(BlobRow.body)).where(col(BlobRow.id) == outcome.whole)
            return KeptResult(outcome, (await session.exec(blob)).first())
