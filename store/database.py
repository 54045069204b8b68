"""The connection to the database: many readers, and one writer thread that commits in groups.

A write is a plain function of a connection. The writer takes every write that waits, runs them in one transaction and
commits once; under load the groups grow by themselves. If one of a group fails, the group is rolled back and each is
run again in a transaction of its own, so a write must have no effect but on its connection.
"""

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from store.engines import StoreAwayError, driver, is_sqlite, prepare_sqlite, sqlite_file

T = TypeVar("T")
Tx = Connection
"""A connection inside a transaction."""
Committed = Callable[[frozenset[str]], None]
"""Called on the writer's thread, after a commit, with the ids of the runs whose logs grew."""

_TOUCHED = "longrun_touched"


def touch(tx: Tx, run_id: str) -> None:
    """Say that this transaction adds to a run's log."""
    tx.info.setdefault(_TOUCHED, set()).add(run_id)


@dataclass
class _Write:
    job: Callable[[Tx], Any]
    done: "asyncio.Future[Any]"
    loop: asyncio.AbstractEventLoop

    def resolve(self, result: object) -> None:
        self.loop.call_soon_threadsafe(self._set, result, None)

    def reject(self, error: Exception) -> None:
        self.loop.call_soon_threadsafe(self._set, None, error)

    def _set(self, result: object, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(result)
        else:
            self.done.set_exception(error)


class Database:
    """One process's way to the store.

    Args:
        url: An SQLAlchemy URL of SQLite or PostgreSQL, without a driver.
        committed: Told which logs grew, after each commit.
    """

    def __init__(self, url: str, committed: Committed | None = None) -> None:
        self.url = url
        self.is_sqlite = is_sqlite(url)
        self._committed = committed
        self._file = sqlite_file(url)
        self._inode: int | None = None
        self._engine = create_engine(driver(url, asynchronous=False), pool_size=1, max_overflow=0)
        self._reader: AsyncEngine = create_async_engine(driver(url, asynchronous=True))
        if self.is_sqlite:
            prepare_sqlite(self._engine, "BEGIN IMMEDIATE")
            prepare_sqlite(self._reader.sync_engine, "BEGIN")
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def write(self, job: Callable[[Tx], T]) -> T:
        """Run ``job`` in a transaction and return what it returned, once that is committed.

        A cancelled caller does not tear the write: it is committed all the same.

        Raises:
            StoreAwayError: The database failed.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._writes.put(_Write(job, done, loop))
        return await done

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[AsyncSession]:
        """A session for reading.

        Raises:
            StoreAwayError: The database failed.
        """
        try:
            async with AsyncSession(self._reader, expire_on_commit=False) as session:
                yield session
        except SQLAlchemyError as error:
            raise StoreAwayError(f"the store could not be read: {error}") from error

    async def aclose(self) -> None:
        """Finish the waiting writes and close the connections."""
        if self._thread is not None:
            self._writes.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None
        self._engine.dispose()
        await self._reader.dispose()

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
        try:
            results = self._transact([write.job for write in group])
        except Exception as error:  # noqa: BLE001 - the writer's edge: whatever a write raises goes to its caller
            if len(group) > 1:
                for write in group:
                    self._commit([write])
            elif isinstance(error, SQLAlchemyError):
                away = StoreAwayError(f"the store could not be written: {error}")
                away.__cause__ = error
                group[0].reject(away)
            else:
                group[0].reject(error)
            return
        for write, result in zip(group, results, strict=True):
            write.resolve(result)

    def _transact(self, jobs: list[Callable[[Tx], Any]]) -> list[Any]:
        self._reopen_if_replaced()
        with self._engine.connect() as connection:
            connection.info.pop(_TOUCHED, None)
            with connection.begin():
                results = [job(connection) for job in jobs]
                touched: frozenset[str] = frozenset(connection.info.pop(_TOUCHED, ()))
                if touched and not self.is_sqlite:
                    connection.exec_driver_sql("SELECT pg_notify('longrun', %s)", (" ".join(touched),))
        if touched and self._committed:
            self._committed(touched)
        return results

    def _reopen_if_replaced(self) -> None:
        """Someone may delete the file of a running system; a descriptor of the old one would write into nothing."""
        if self._file is None:
            return
        try:
            inode = self._file.stat().st_ino
        except FileNotFoundError:
            inode = None
        if self._inode is not None and inode != self._inode:
            self._engine.dispose()
        self._inode = inode
