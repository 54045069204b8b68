"""What all engines share: the drivers, how connections are set up, and whether the file is still the same."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError, StatementError

from longrun.runtime.plain import PlainError

PATIENCE = 10.0
"""Seconds that a transaction waits for a lock."""
UNAVAILABLE = (SQLAlchemyError, sqlite3.Error, OSError)
"""What a database raises that failed; SQLAlchemy does not wrap what fails while a connection is set up."""
_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY")


class StoreUnavailableError(PlainError):
    """The database did not answer, or refused; nothing was written."""


class StoreRefusedError(PlainError):
    """The database did not take what was to be written, and never will; nothing was written."""


class DatabaseUrlError(PlainError, ValueError):
    """The URL names no database that we can use."""


_REFUSALS = ("22", "23", "54")
"""Classes of PostgreSQL's codes: data, constraints, limits."""
_LONGEST_REASON = 300


def failure(error: Exception, action: str) -> StoreUnavailableError | StoreRefusedError:
    """What an error of the database means to whoever wrote or read; without what was to be written."""
    cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    code = getattr(cause, "sqlstate", None) or ""
    reason = str(cause).strip().partition("\n")[0][:_LONGEST_REASON]
    refused = code.startswith(_REFUSALS) or isinstance(cause, sqlite3.DataError | sqlite3.IntegrityError)
    bound = isinstance(error, StatementError) and not isinstance(error, DBAPIError)  # no database was asked
    if refused or bound:
        return StoreRefusedError(f"the store refused what was to be {action}: {reason}")
    return StoreUnavailableError(f"the store could not be {action}: {reason}")


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError as error:
        raise DatabaseUrlError("LONGRUN_DATABASE_URL is no URL of a database, as postgresql://host/name is") from error


def is_sqlite(url: str) -> bool:
    """Whether the URL names an SQLite database."""
    return _parsed(url).get_backend_name() == "sqlite"


def shown(url: str) -> str:
    """The URL without its password."""
    return _parsed(url).render_as_string()


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite database; ``None`` for any other database."""
    return Path(_parsed(url).database or "") if is_sqlite(url) else None


def driver(url: str) -> str:
    """The URL with the driver that we use for its database.

    Raises:
        DatabaseUrlError: It is neither SQLite nor PostgreSQL.
    """
    return _with_driver(url, {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"})


def async_driver(url: str) -> str:
    """The URL with the driver that we use for its database on an event loop.

    Raises:
        DatabaseUrlError: It is neither SQLite nor PostgreSQL.
    """
    return _with_driver(url, {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"})


def _with_driver(url: str, drivers: Mapping[str, str]) -> str:
    parsed = _parsed(url)
    backend = parsed.get_backend_name()
    if backend not in drivers:
        raise DatabaseUrlError(f"LONGRUN_DATABASE_URL: {backend} is not supported; use sqlite or postgresql")
    return parsed.set(drivername=drivers[backend]).render_as_string(hide_password=False)


def prepare(engine: Engine, begin: str | None = None, patience: float = PATIENCE) -> None:
    """Set up an engine's connections.

    Args:
        engine: The engine, without connections yet.
        begin: How SQLite begins a transaction: ``BEGIN IMMEDIATE`` takes the writers' lock at once, not half-way;
            ``None`` for an engine without transactions.
        patience: How many seconds a transaction waits for a lock.
    """
    wait = int(patience * 1000)

    def connect_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (f"busy_timeout={wait}", *_PRAGMAS):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begin_sqlite(connection: Connection) -> None:
        if begin:
            connection.exec_driver_sql(begin)

    def connect_postgres(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = {wait}")
        cursor.close()
        connection.commit()

    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", connect_sqlite)
        event.listen(engine, "begin", begin_sqlite)
    else:
        event.listen(engine, "connect", connect_postgres)


class FileWatch:
    """Notices that someone deleted or replaced the file of a running system.

    A descriptor of the old file would go on to write into nothing. Without a file (PostgreSQL) nothing is noticed.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._seen = self._look()

    def _look(self) -> int | None:
        try:
            return self._file.stat().st_ino if self._file else 0
        except FileNotFoundError:
            return None

    def replaced(self) -> bool:
        """Whether the file is missing, or another one than before."""
        now = self._look()
        return now is None or now != self._seen

    def accept(self) -> None:
        """From now on the file as it is now is the one."""
        self._seen = self._look()
