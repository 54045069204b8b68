"""Reading logs, from any seq."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from longrun.store.db.database import Database, Tx
from longrun.store.db.sql import run_sql


@dataclass(frozen=True)
class Segment:
    """Events ``first..last`` as JSON lines. ``superseded`` ones no longer stand, and may have no body."""

    run_id: str
    first: int
    last: int
    superseded: bool
    body: bytes

    def lines(self, after: int) -> list[bytes]:
        """The events after ``after``, one line each."""
        lines = self.body.splitlines()
        return lines[max(0, after + 1 - self.first) :] if lines else []


_COLUMNS = "s.run_id, s.first_seq, s.last_seq, s.superseded, s.body"
_PAGE = (
    f"SELECT {_COLUMNS} FROM segments AS s WHERE s.run_id = ? AND s.last_seq > ?"  # noqa: S608 - ours
    " AND s.first_seq >= COALESCE((SELECT MAX(first_seq) FROM segments WHERE run_id = ? AND first_seq <= ?), 0)"
    " ORDER BY s.first_seq LIMIT ?"
)
"""The primary key leads to the one segment that may reach over the position, however long the log is before it."""
_NEW_SQLITE = (
    f"SELECT {_COLUMNS} FROM json_each(?) AS c"  # noqa: S608 - ours
    " JOIN segments AS s ON s.run_id = c.key AND s.first_seq > c.value ORDER BY s.run_id, s.first_seq LIMIT ?"
)
_NEW_POSTGRES = (
    f"SELECT {_COLUMNS} FROM json_each_text(CAST(? AS json)) AS c"  # noqa: S608 - ours
    " JOIN segments AS s ON s.run_id = c.key AND s.first_seq > CAST(c.value AS bigint)"
    " ORDER BY s.run_id, s.first_seq LIMIT ?"
)


class LogReader:
    """Reads logs."""

    MOST_NEW = 2000
    """Segments that one look for news brings at most."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._new = _NEW_SQLITE if database.is_sqlite else _NEW_POSTGRES

    async def page(self, run_id: str, after: int, most: int = 500) -> list[Segment]:
        """At most ``most`` segments that hold events after ``after``, in order; the first may begin before it.

        Raises:
            StoreUnavailableError: The database failed.
        """
        return await self._segments(_PAGE, run_id, after, run_id, after, most)

    async def new(self, cursors: Mapping[str, int]) -> list[Segment]:
        """The segments of many runs that begin after a cursor each, in one query, ordered by run and seq.

        Raises:
            StoreUnavailableError: The database failed.
        """
        return await self._segments(self._new, json.dumps(dict(cursors)), self.MOST_NEW)

    async def head(self, run_id: str) -> int | None:
        """The last seq that the run has given, or ``None`` for an unknown run.

        Raises:
            StoreUnavailableError: The database failed.
        """
        find = "SELECT last_seq FROM heads WHERE run_id = ?"
        return await self._database.read(lambda tx: run_sql(tx, find, run_id).scalar())

    async def _segments(self, sql: str, *values: str | int) -> list[Segment]:
        def job(tx: Tx) -> list[Segment]:
            rows = cast("Iterable[tuple[str, int, int, int, bytes]]", run_sql(tx, sql, *values))
            return [Segment(run_id, first, last, bool(old), body) for run_id, first, last, old, body in rows]

        return await self._database.read(job)
