"""SQLModel's ``AsyncSession`` over the store, for lists and single rows.

A read through it costs two to three times the CPU of the same SQL, written out, on a reader thread (``Database.read``):
0.7 ms against 0.3 for a page of the log, 0.5 against 0.2 for a check of an execution, 0.4 against 0.25 for a
conversation, 0.7 against 0.2 for an order, 0.6 against 0.45 for a run. aiosqlite goes to its connection's thread and
back for each of a statement's four calls. So what a stream reads at its start and at each commit, and an activity at
each step, is read on those threads, all else here.
A session sends no ``BEGIN`` and no ``ROLLBACK``, which would nearly double what a read costs.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from longrun.store.db.engines import (
    UNAVAILABLE,
    FileWatch,
    async_driver,
    failure,
    is_sqlite,
    prepare,
    sqlite_file,
)
from longrun.store.db.schema import migrate

_CONNECTIONS = 4


class Sessions:
    """Opens sessions for reading; all of them on one event loop.

    Args:
        url: An SQLAlchemy URL of SQLite or PostgreSQL, without a driver.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._file = FileWatch(sqlite_file(url))
        self._reopening = asyncio.Lock()
        self._engine = create_async_engine(
            async_driver(url),
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_pre_ping=not is_sqlite(url),
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
        )
        prepare(self._engine.sync_engine)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[AsyncSession]:
        """A session, each of whose statements sees what is committed when it is executed.

        Raises:
            StoreUnavailableError: The database failed.
            StoreRefusedError: The database does not take what is asked for.
        """
        try:
            if self._file.replaced():
                await self._reopen()
            async with AsyncSession(self._engine, expire_on_commit=False) as session:
                yield session
        except UNAVAILABLE as error:
            raise failure(error, "read") from error

    async def _reopen(self) -> None:
        async with self._reopening:
            if self._file.replaced():
                await self._engine.dispose()
                await asyncio.to_thread(migrate, self._url)
                self._file.accept()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._engine.dispose()
