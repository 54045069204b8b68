"""Rows inside a write.

What happens at each step of each run is SQL that is written out, with ``?`` for each value: the same statement built
from tables costs several times as much as it takes the database to run it. The rest is built.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, CursorResult, insert, select

from longrun.store.db.database import Tx
from longrun.store.db.tables import Row

R = TypeVar("R", bound=Row)
Value = str | int | bytes | datetime | None


def run_sql(tx: Tx, sql: str, *values: Value) -> CursorResult[Any]:
    """Execute a statement for SQLite and PostgreSQL.

    What it returns is as the driver has it: SQLite's times are text and its truths numbers.
    """
    if tx.dialect.name == "sqlite":
        return tx.exec_driver_sql(sql, tuple(map(_for_sqlite, values)))
    return tx.exec_driver_sql(_for_postgres(sql), values)


def as_time(value: str | datetime | None) -> datetime | None:
    """A time as it was written, from what ``run_sql`` returns."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return value.astimezone(UTC) if value else None


def insert_into(tx: Tx, table: str, **values: Value) -> None:
    """Insert one row."""
    run_sql(tx, _insert(table, tuple(values)), *values.values())


def insert_row(tx: Tx, row: Row) -> None:
    """Insert one row of a table model."""
    tx.execute(insert(type(row)), row.model_dump(exclude_none=True))


def find_rows(tx: Tx, kind: type[R], *where: ColumnElement[bool]) -> Sequence[R]:
    """The rows of a table for which all of ``where`` holds."""
    return [kind(**found) for found in tx.execute(select(kind).where(*where)).mappings()]


def find_row(tx: Tx, kind: type[R], *where: ColumnElement[bool]) -> R | None:
    """The one row of a table for which all of ``where`` holds."""
    rows = find_rows(tx, kind, *where)
    return rows[0] if rows else None


@cache
def _insert(table: str, names: tuple[str, ...]) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    return f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - names of ours


@cache
def _for_postgres(sql: str) -> str:
    return sql.replace("?", "%s")


def _for_sqlite(value: Value) -> Value:
    """A time as SQLAlchemy keeps it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return value
