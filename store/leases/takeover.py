"""Taking over from dead workers: what they held is given back to Temporal at once, for others to go on with."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from time import monotonic

from longrun.runtime.clock import now
from longrun.runtime.plain import PlainError
from longrun.store.db.database import Database, Tx
from longrun.store.db.sql import run_sql
from longrun.store.leases.lease import Leases

logger = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds between two looks at the leases."""
_AFTERWARDS = (1.0, 3.0, 9.0)
"""Seconds after a worker's end at which its runs are looked at again: Temporal may have sent it something then."""
_UNANSWERED = timedelta(seconds=5)
"""How long an attempt may have ended without Temporal's knowing."""
_AT_ONCE = 32
_HELD = (
    "SELECT token FROM attempts WHERE worker = ? AND token IS NOT NULL AND (outcome IS NULL OR ended_at > ?)"
    " ORDER BY ended_at IS NOT NULL"
)
_UNATTENDED = (
    "SELECT id FROM runs WHERE status IN ('queued', 'running') AND dispatched AND NOT EXISTS"
    " (SELECT 1 FROM attempts WHERE attempts.run_id = runs.id AND outcome IS NULL) ORDER BY id DESC LIMIT 1000"
)


class Takeover:
    """Looks at the leases, however many calls their workers hold. Any number of processes may do so at once.

    Args:
        database: The store, which knows the attempts of each worker.
        leases: The leases.
        give_back: Fails an attempt at Temporal by its token, so that the next one begins; harmless to repeat.
        give_back_of: Fails what a worker that is dead has of a run and has not begun; harmless to repeat.
    """

    def __init__(
        self,
        database: Database,
        leases: Leases,
        give_back: Callable[[bytes], Awaitable[None]],
        give_back_of: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._database = database
        self._leases = leases
        self._give_back = give_back
        self._give_back_of = give_back_of
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._later: list[tuple[float, str]] = []

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
            await self._follow(worker)
        due = [each for each in self._later if each[0] <= monotonic()]
        for each in due:
            await self._unattended(each[1])
            self._later.remove(each)

    async def _follow(self, worker: str) -> None:
        since = now() - _UNANSWERED
        tokens = await self._database.read(lambda tx: _tokens(tx, worker, since))
        await asyncio.gather(*(self._limited(self._give_back(token)) for token in tokens))
        await self._unattended(worker)
        await self._leases.forget(worker)
        logger.info("worker %s is gone; %d calls that it held are taken over", worker, len(tokens))
        self._later += [(monotonic() + seconds, worker) for seconds in _AFTERWARDS]

    async def _unattended(self, worker: str) -> None:
        """Give back what Temporal has given the worker of runs of which nobody has begun a call."""
        run_ids = await self._database.read(lambda tx: list(run_sql(tx, _UNATTENDED).scalars()))
        await asyncio.gather(*(self._limited(self._give_back_of(run_id, worker)) for run_id in run_ids))

    async def _limited(self, giving: Awaitable[None]) -> None:
        async with self._at_once:
            await giving


def _tokens(tx: Tx, worker: str, since: datetime) -> list[bytes]:
    """The tokens of the attempts that a worker has not ended, and of those that it may not have told Temporal of."""
    return [bytes(token) for token in run_sql(tx, _HELD, worker, since).scalars()]
