"""Rows inside a write: table models over a plain connection."""

from typing import TypeVar

from sqlalchemy import ColumnElement, insert, select

from store.database import Tx
from store.tables import Row

R = TypeVar("R", bound=Row)


def insert_row(tx: Tx, row: Row) -> None:
    """Insert one row."""
    tx.execute(insert(type(row)), row.model_dump(exclude_none=True))


def find_rows(tx: Tx, kind: type[R], *where: ColumnElement[bool]) -> list[R]:
    """The rows of a table for which all of ``where`` holds."""
    return [kind(**found) for found in tx.execute(select(kind).where(*where)).mappings()]


def find_row(tx: Tx, kind: type[R], *where: ColumnElement[bool]) -> R | None:
    """The one row of a table for which all of ``where`` holds."""
    rows = find_rows(tx, kind, *where)
    return rows[0] if rows else None
