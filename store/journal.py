"""The journal: what the activities of a run have given back, each result as a document under its source."""

from itertools import chain
from typing import Any, TypeVar

from sqlalchemy import Row

from longrun.store.db.database import Database, Tx
from longrun.store.db.sql import insert_into, run_sql
from longrun.store.sources import END, KINDS, source_of
from longrun.workflows import positions
from longrun.workflows.contract.results import Failed, Finished, ModelReply, Notice, Result, Rewound, Superseded

R = TypeVar("R", bound=Result)

_NOTICES: dict[str, type[Superseded | Failed]] = {"superseded": Superseded, "failed": Failed}


def keep(tx: Tx, run_id: str, result: Result) -> None:
    """Put a result into the journal."""
    insert_into(
        tx,
        "results",
        run_id=run_id,
        source=source_of(result),
        first_seq=positions.first_seq(result),
        kind=type(result).__name__,
        body=result.model_dump_json(exclude={"message"}),
    )


_SELECT = "SELECT source, kind, body FROM results WHERE run_id = ?"


def find(tx: Tx, run_id: str, source: str, kind: type[R]) -> R | None:
    """The result under a source."""
    row = run_sql(tx, f"{_SELECT} AND source = ?", run_id, source).first()
    found = None if row is None else _load(tx, run_id, row)
    return found if isinstance(found, kind) else None


def under(tx: Tx, run_id: str, prefix: str, kind: type[R]) -> tuple[R, ...]:
    """The results of a kind whose sources begin with ``prefix``, which ends with a colon, in the order of the log."""
    query = f"{_SELECT} AND source >= ? AND source < ? AND kind = ? ORDER BY first_seq"
    rows = run_sql(tx, query, run_id, prefix, f"{prefix[:-1]};", kind.__name__).all()
    return tuple(found for row in rows if isinstance(found := _load(tx, run_id, row), kind))


def notices(tx: Tx, run_id: str, step: int) -> tuple[Notice, ...]:
    """What the log says of a step's attempts."""
    found = (under(tx, run_id, f"step:{step}:{what}:", kind) for what, kind in _NOTICES.items())
    return tuple(sorted(chain.from_iterable(found), key=positions.first_seq))


def after(tx: Tx, run_id: str, seq: int) -> list[Result]:
    """The results whose events come after a seq, in the order of the log."""
    rows = run_sql(tx, f"{_SELECT} AND first_seq > ? ORDER BY first_seq", run_id, seq).all()
    return [_load(tx, run_id, row) for row in rows]


def drop_after(tx: Tx, run_id: str, seq: int) -> None:
    """Take the results out whose events come after a seq."""
    run_sql(tx, "DELETE FROM results WHERE run_id = ? AND first_seq > ?", run_id, seq)


def rewinds(tx: Tx, run_id: str) -> tuple[Rewound, ...]:
    """The resets of a run whose notices stand, oldest first."""
    return under(tx, run_id, "rewind:", Rewound)


class Journal:
    """Reads the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rewinds(self, run_id: str) -> tuple[Rewound, ...]:
        """The resets of a run whose notices stand, oldest first.

        Raises:
            StoreUnavailableError: The database failed.
        """
        async with self._database.session() as session:
            return await (await session.connection()).run_sync(rewinds, run_id)

    async def end(self, run_id: str) -> Finished | None:
        """The end of a run.

        Raises:
            StoreUnavailableError: The database failed.
        """
        async with self._database.session() as session:
            return await (await session.connection()).run_sync(find, run_id, END, Finished)


def _load(tx: Tx, run_id: str, row: Row[Any]) -> Result:
    body: str = row.body
    if row.kind == ModelReply.__name__:
        query = "SELECT body FROM messages WHERE run_id = ? AND step = ? AND role = 'assistant'"
        message: str = run_sql(tx, query, run_id, int(row.source.split(":")[1])).scalar_one()
        body = f'{{"message":{message},{body[1:]}'
    return KINDS[row.kind].model_validate_json(body)
