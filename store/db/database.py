"""The connection to the database: sessions and a few reader threads, and one writer thread that commits in groups.

A write is a plain function of a connection. The writer takes every write that waits, runs them in one transaction and
commits once; under load the groups grow by themselves. A write that fails is taken out, the others are run again
without it, and it is run once more alone, because it may only have lost a race; so a write must have no effect but on
its connection.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from longrun.store.db.engines import (
    PATIENCE,
    UNAVAILABLE,
    FileWatch,
    StoreUnavailableError,
    driver,
    failure,
    is_sqlite,
    prepare,
    sqlite_file,
)
from longrun.store.db.schema import migrate
from longrun.store.db.sessions import Sessions

T = TypeVar("T")
Tx = Connection
"""A connection inside a transaction."""
Committed = Callable[[frozenset[str]], None]
"""Called on the writer's thread, after a commit, with the ids of the runs whose logs grew."""

logger = logging.getLogger(__name__)

_READERS = 4
_TOUCHED = "longrun_touched"
_NOTIFY = "SELECT pg_notify('longrun', run_id) FROM unnest(%s::text[]) AS run_id"


def touch(tx: Tx, run_id: str) -> None:
    """Say that this transaction adds to a run's log."""
    tx.info.setdefault(_TOUCHED, set()).add(run_id)


@dataclass
class _Write:
    job: Callable[[Tx], Any]
    done: "asyncio.Future[Any]"
    loop: asyncio.AbstractEventLoop

    def reject(self, error: Exception) -> None:
        if isinstance(error, UNAVAILABLE):
            meant = failure(error, "written")
            meant.__cause__ = error
            error = meant
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._fail, error)

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


def _resolve(results: Sequence[tuple[_Write, object]]) -> None:
    """Hand results to their loops, all at once: each call wakes the loop by a system call, and waits for its thread."""
    for loop in {write.loop for write, _ in results}:
        if not loop.is_closed():
            loop.call_soon_threadsafe(_set, [(write.done, result) for write, result in results if write.loop is loop])


def _set(results: Iterable[tuple["asyncio.Future[Any]", object]]) -> None:
    for done, result in results:
        if not done.done():
            done.set_result(result)


class _FailedError(Exception):
    """One write of a group failed.

    Args:
        write: Which.
        error: How.
    """

    def __init__(self, write: _Write, error: Exception) -> None:
        super().__init__(str(error))
        self.write = write
        self.error = error


class Database:
    """One process's way to the store.

    Args:
        url: An SQLAlchemy URL of SQLite or PostgreSQL, without a driver.
        committed: Called with the runs whose logs grew, after each commit.
        patience: How many seconds a write waits for a lock that another process holds.
    """

    def __init__(self, url: str, committed: Committed | None = None, patience: float = PATIENCE) -> None:
        self.url = url
        self.is_sqlite = is_sqlite(url)
        self._committed = committed
        self._writer_file, self._reader_file = FileWatch(sqlite_file(url)), FileWatch(sqlite_file(url))
        self._reopening = threading.Lock()
        self._engine = create_engine(driver(url), pool_size=1, max_overflow=0)
        self._sessions = Sessions(url)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")
        self._read_engine = create_engine(driver(url), pool_size=_READERS, pool_pre_ping=not self.is_sqlite)
        prepare(self._engine, "BEGIN IMMEDIATE", patience)
        prepare(self._read_engine, "BEGIN", patience)
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def write(self, job: Callable[[Tx], T]) -> T:
        """Run ``job`` in a transaction and return what it returned, once that is committed.

        A cancelled caller does not tear the write: it is committed all the same.

        Raises:
            StoreUnavailableError: The database failed.
        """
        self._refuse_if_closed()
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._writes.put(_Write(job, done, loop))
        return await done

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[AsyncSession]:
        """A session for reading lists and single rows.

        Raises:
            StoreUnavailableError: The database failed.
        """
        self._refuse_if_closed()
        async with self._sessions.open() as session:
            yield session

    async def read(self, job: Callable[[Tx], T]) -> T:
        """Run ``job`` on a reader thread, and return what it returned: for what is read at each step of each run.

        Raises:
            StoreUnavailableError: The database failed.
        """
        self._refuse_if_closed()
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, job)

    def _read(self, job: Callable[[Tx], T]) -> T:
        try:
            self._reopen_if_replaced()
            with self._read_engine.connect() as connection:
                return job(connection)
        except UNAVAILABLE as error:
            raise failure(error, "read") from error

    async def aclose(self) -> None:
        """Finish what waits and close the connections; from now on the store is unavailable."""
        self._closed = True
        if self._thread is not None:
            self._writes.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None
        await asyncio.to_thread(self._readers.shutdown)
        await self._sessions.aclose()
        self._engine.dispose()
        self._read_engine.dispose()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise StoreUnavailableError("the store is closed")

    def _reopen_if_replaced(self) -> None:
        if not self._reader_file.replaced():
            return
        with self._reopening:
            if self._reader_file.replaced():
                self._read_engine.dispose()
                migrate(self.url)
                self._reader_file.accept()

    def _serve(self) -> None:
        while (first := self._writes.get()) is not None:
            group = [first]
            last = False
            while not self._writes.empty():
                following = self._writes.get()
                if following is None:
                    last = True
                    break
                group.append(following)
            self._commit(group)
            if last:
                return

    def _commit(self, group: list[_Write]) -> None:
        """Commit all that can be: each failure takes one write out, which gets a second chance alone."""
        again: list[_Write] = []
        while group:
            try:
                self._transact(group)
            except _FailedError as failed:
                group.remove(failed.write)
                if group or again or isinstance(failed.error, DBAPIError):
                    again.append(failed.write)
                else:
                    failed.write.reject(failed.error)
            except Exception as error:  # noqa: BLE001 - the writer's edge: whatever fails goes to the callers
                for write in group:
                    write.reject(error)
                break
            else:
                break
        for write in again:
            self._commit_alone(write)

    def _commit_alone(self, write: _Write) -> None:
        try:
            self._transact([write])
        except _FailedError as failed:
            write.reject(failed.error)
        except Exception as error:  # noqa: BLE001 - the writer's edge: whatever fails goes to the caller
            write.reject(error)

    def _transact(self, group: list[_Write]) -> None:
        if self._writer_file.replaced():
            self._engine.dispose()
            migrate(self.url)
            self._writer_file.accept()
        with self._engine.connect() as connection:
            connection.info.pop(_TOUCHED, None)
            with connection.begin():
                results = [_run(write, connection) for write in group]
                touched: frozenset[str] = frozenset(connection.info.pop(_TOUCHED, ()))
                if touched and not self.is_sqlite:
                    connection.exec_driver_sql(_NOTIFY, (list(touched),))
        _resolve(list(zip(group, results, strict=True)))
        self._notify(touched)

    def _notify(self, touched: frozenset[str]) -> None:
        if not touched or self._committed is None:
            return
        try:
            self._committed(touched)
        except Exception:
            logger.exception("could not notify of a commit")


def _run(write: _Write, connection: Tx) -> object:
    try:
        return write.job(connection)
    except Exception as error:
        raise _FailedError(write, error) from error
