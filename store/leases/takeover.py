"""Taking over from dead workers: what they held is given back to Temporal at once, for others to go on with."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic

from longrun.runtime.plain import PlainError
from longrun.store.db.database import Database, Tx
from longrun.store.db.sql import run_sql
from longrun.store.leases.lease import LOOK, Leases

logger = logging.getLogger(__name__)

_LOOKS = (0.0, 1.0, 3.0, 9.0)
"""Seconds after a worker's end at which its runs are looked at: Temporal may have sent it something at its very end."""
_AT_ONCE = 32
_HELD = "SELECT token FROM attempts WHERE worker = ? AND outcome IS NULL AND token IS NOT NULL"
_RUNNING = "SELECT id FROM runs WHERE status IN ('queued', 'running') AND dispatched ORDER BY id LIMIT 10000"


class Takeover:
    """Looks at the leases, however many calls their workers hold. Any number of processes may do so at once.

    Args:
        database: The store, which knows the attempts of each worker.
        leases: The leases.
        give_back: Fails an attempt at Temporal by its token, so that the next one begins; harmless to repeat.
        give_back_of: Fails what a run has at a worker that has not begun it, or not said that it is done.
        own: The worker of this process, which lives.
    """

    def __init__(
        self,
        database: Database,
        leases: Leases,
        give_back: Callable[[bytes], Awaitable[None]],
        give_back_of: Callable[[str, str], Awaitable[None]],
        own: str = "",
    ) -> None:
        self._database = database
        self._leases = leases
        self._give_back = give_back
        self._give_back_of = give_back_of
        self._own = own
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._due: list[tuple[float, str]] = []

    async def serve(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except PlainError as error:  # the store or Temporal does not answer: the lease is looked at again
                logger.warning("what a dead worker held waits: %s", error)
            except Exception:  # without this watch the process would only seem to live
                logger.exception("the leases could not be looked at")
            await asyncio.sleep(LOOK)

    async def look(self) -> None:
        """Give back what the workers held that are dead now.

        Raises:
            StoreUnavailableError: The database failed.
            TemporalUnavailableError: Temporal did not answer.
        """
        for worker in await self._leases.expired():
            if worker != self._own:
                await self._follow(worker)
        for due in [each for each in self._due if each[0] <= monotonic()]:
            await self._look_at_runs(due[1])
            self._due.remove(due)

    async def _follow(self, worker: str) -> None:
        """Give back what is known by its token; whoever takes the lease out looks for the remainder too."""
        tokens = await self._database.read(lambda tx: _tokens(tx, worker))
        await self._all(self._give_back, [(token,) for token in tokens])
        if await self._leases.forget(worker):
            logger.info("worker %s has ended without a word; %d calls that it held go on", worker, len(tokens))
            self._due += [(monotonic() + seconds, worker) for seconds in _LOOKS]

    async def _look_at_runs(self, worker: str) -> None:
        """Give back what Temporal has sent the worker and the store knows nothing of."""
        run_ids: list[str] = await self._database.read(lambda tx: list(run_sql(tx, _RUNNING).scalars()))
        await self._all(self._give_back_of, [(run_id, worker) for run_id in run_ids])

    async def _all(self, give: Callable[..., Awaitable[None]], arguments: Iterable[tuple[bytes | str, ...]]) -> None:
        async def one(each: tuple[bytes | str, ...]) -> None:
            async with self._at_once:
                await give(*each)

        done = await asyncio.gather(*map(one, arguments), return_exceptions=True)
        for error in done:
            if isinstance(error, BaseException):
                raise error


def _tokens(tx: Tx, worker: str) -> list[bytes]:
    """The tokens of the attempts that a worker has begun and not ended."""
    return [bytes(token) for token in run_sql(tx, _HELD, worker).scalars()]
