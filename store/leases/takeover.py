"""Taking over from dead workers: what they held is given back to Temporal at once, for others to go on with."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from longrun.runtime.plain import PlainError
from longrun.store.db.database import Database, Tx
from longrun.store.db.sql import run_sql
from longrun.store.leases.lease import Leases

logger = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds between two looks at the leases."""
_AT_ONCE = 32
_OPEN = "SELECT token FROM attempts WHERE worker = ? AND outcome IS NULL AND token IS NOT NULL"


class Takeover:
    """Looks at the leases, however many calls their workers hold. Any number of processes may do so at once.

    Args:
        database: The store, which knows the attempts of each worker.
        leases: The leases.
        give_back: Fails an attempt at Temporal by its token, so that the next one begins; harmless to repeat.
    """

    def __init__(self, database: Database, leases: Leases, give_back: Callable[[bytes], Awaitable[None]]) -> None:
        self._database = database
        self._leases = leases
        self._give_back = give_back
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def serve(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except PlainError as error:  # the store or Temporal is away: the lease is looked at again
                logger.warning("what a dead worker held waits: %s", error)
            await asyncio.sleep(LOOK)

    async def look(self) -> None:
        """Give back what the workers held that are dead now.

        Raises:
            StoreUnavailableError: The database failed.
            TemporalUnavailableError: Temporal did not answer.
        """
        for worker in await self._leases.over():
            tokens = await self._database.read(lambda tx, worker=worker: _open_tokens(tx, worker))
            logger.info("worker %s is gone; %d calls that it held are taken over", worker, len(tokens))
            await asyncio.gather(*map(self._one, tokens))
            await self._leases.forget(worker)

    async def _one(self, token: bytes) -> None:
        async with self._room:
            await self._give_back(token)


def _open_tokens(tx: Tx, worker: str) -> list[bytes]:
    """The tokens of the attempts that a worker has begun and not ended."""
    return [bytes(token) for token in run_sql(tx, _OPEN, worker).scalars()]
