"""The schema of the database: brought to the newest revision by whichever process starts first."""

import fcntl
import logging
import os
import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, NullPool, create_engine
from sqlalchemy.exc import SQLAlchemyError

from longrun.store.db.engines import StoreUnavailableError, driver, prepare, sqlite_file

logger = logging.getLogger(__name__)

_MIGRATIONS = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME = threading.Lock()  # Alembic keeps what it migrates in a module
_ADVISORY_LOCK = 0x6C6F6E67  # any number that nobody else takes


def migrate(url: str) -> None:
    """Bring the database to the newest schema; several processes may do so at once.

    The folder of an SQLite file is made if it is not there. A database that is newest already is only looked at, and so
    is one that a newer version of ours has migrated: what migrations add, an older process does without.

    Raises:
        StoreUnavailableError: The database did not answer.
    """
    file = sqlite_file(url)
    with _ONE_AT_A_TIME, _alone_in(file):
        with _engine(url, "BEGIN") as engine, engine.connect() as connection:  # a look waits for no writer
            if _revision(connection) == newest():
                return
        with _engine(url, "BEGIN IMMEDIATE") as engine, engine.begin() as connection:
            if file is None:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
            _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    current = _revision(connection)
    if current == newest():
        return
    if current is None or _is_ours(current):
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    else:
        logger.warning("the store is of a newer version (%s) than this process (%s)", current, newest())


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _is_ours(revision: str) -> bool:
    return any(known.revision == revision for known in ScriptDirectory.from_config(_config()).walk_revisions())


def newest() -> str:
    """The revision that ``migrate`` brings a database to."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def state(url: str) -> str:
    """The database's revision, ``empty`` if it has no tables of ours, or ``missing`` if there is no file.

    Raises:
        StoreUnavailableError: The database did not answer.
    """
    file = sqlite_file(url)
    if file is not None and not file.exists():
        return "missing"
    with _engine(url, "BEGIN") as engine, engine.connect() as connection:
        return _revision(connection) or "empty"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _engine(url: str, begin: str) -> Generator[Engine]:
    engine = create_engine(driver(url), poolclass=NullPool)
    prepare(engine, begin)
    try:
        yield engine
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise StoreUnavailableError(f"the store's schema could not be read or written: {error}") from error
    finally:
        engine.dispose()


@contextmanager
def _alone_in(file: Path | None) -> Generator[None]:
    """Hold the lock of the file's folder: SQLite does not wait when two processes turn on its WAL at once."""
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if not file.exists():
            for suffix in ("-wal", "-shm"):  # of a file that was deleted: they would be taken for the new one's
                file.with_name(file.name + suffix).unlink(missing_ok=True)
        yield
    finally:
        os.close(folder)
