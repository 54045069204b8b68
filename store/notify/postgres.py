"""Notices of commits between machines: PostgreSQL's LISTEN and NOTIFY, on a connection that does nothing else.

Every commit that adds to a log sends one per run. They only save the reader its next poll, as datagrams do.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import NullPool
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from longrun.store.db.engines import async_driver

logger = logging.getLogger(__name__)

_AGAIN = 1.0
"""Seconds between attempts to reach the database."""


class NotifyListener:
    """Receives the ids of runs whose logs grew, through the database; a lost connection is made again.

    Args:
        url: The store's URL, of a PostgreSQL database.
        received: Called on the event loop with the run id of each notice.
    """

    def __init__(self, url: str, received: Callable[[set[str]], None]) -> None:
        self._received = received
        self._engine = create_async_engine(async_driver(url), poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self._errors = (SQLAlchemyError, OSError, self._engine.dialect.loaded_dbapi.Error)

    async def serve(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                await self._listen()
            except self._errors as error:
                logger.warning("the store's notices cannot be received: %s", error)
            await asyncio.sleep(_AGAIN)

    async def _listen(self) -> None:
        async with self._engine.connect() as connection:
            await connection.exec_driver_sql("LISTEN longrun")
            driver_connection: Any = (await connection.get_raw_connection()).driver_connection
            async for notice in driver_connection.notifies():
                self._received({notice.payload})
