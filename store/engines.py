"""What both ways into the database share: the drivers, and how SQLite is set up."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event, make_url

_PRAGMAS = ("busy_timeout=10000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY")


class StoreAwayError(Exception):
    """The database did not answer, or refused; nothing was written."""


def is_sqlite(url: str) -> bool:
    """Whether the URL names an SQLite database."""
    return make_url(url).get_backend_name() == "sqlite"


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite database; ``None`` for any other database."""
    return Path(make_url(url).database or "") if is_sqlite(url) else None


def driver(url: str, *, asynchronous: bool) -> str:
    """The URL with the driver that we use for its database.

    Raises:
        ValueError: It is neither SQLite nor PostgreSQL.
    """
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        name = "sqlite+aiosqlite" if asynchronous else "sqlite"
    elif backend == "postgresql":
        name = "postgresql+psycopg"
    else:
        raise ValueError(f"LONGRUN_DATABASE_URL: {backend} is not supported; use sqlite or postgresql")
    return parsed.set(drivername=name).render_as_string(hide_password=False)


def prepare_sqlite(engine: Engine, begin: str) -> None:
    """WAL, and transactions that begin when we say so: writers take the lock at once instead of half-way."""

    def connect(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", connect)
    event.listen(engine, "begin", start)
