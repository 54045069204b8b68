"""Taking over from dead workers: what they held is given back to Temporal at once, for others to go on with."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic

from longrun.runtime.plain import PlainError
from longrun.store.attempts import unheld
from longrun.store.db.database import Database, Tx
from longrun.store.db.sql import run_sql
from longrun.store.leases.lease import LOOK, Leases

logger = logging.getLogger(__name__)

_LOOKS = (0.0, 1.0, 3.0)
"""Seconds after a worker's end at which is looked for what it was sent and had not begun, some at its very end."""
_LAST_LOOK = 12.0
"""Seconds after it at which also what it had begun is looked at once more, if nobody has begun it since."""
_AT_ONCE = 32
_TOKENS = "SELECT token FROM attempts WHERE worker = ? AND outcome IS NULL AND token IS NOT NULL"


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
        self._due: list[tuple[float, str, str]] = []

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
            _, worker, but = due
            await self._look_at_runs(worker, but)
            self._due.remove(due)

    async def _follow(self, worker: str) -> None:
        """Give back what is known by its token; whoever takes the lease out looks for the remainder too.

        Others do so at the same time: each takes some at random, and looks again what is left.
        """
        given: set[bytes] = set()
        while tokens := await self._database.read(lambda tx: _tokens(tx, worker)) - given:
            some = random.sample(sorted(tokens), min(_AT_ONCE, len(tokens)))
            await self._all(self._give_back, [(token,) for token in some])
            given.update(some)
        if await self._leases.forget(worker):
            logger.info("worker %s has ended without a word; the calls that it held go on", worker)
            began = monotonic()
            self._due += [(began + seconds, worker, "") for seconds in _LOOKS]
            self._due.append((began + _LAST_LOOK, worker, worker))

    async def _look_at_runs(self, worker: str, but: str) -> None:
        """Give back what Temporal has sent the worker and nobody has begun, as far as the store knows.

        Args:
            worker: Who is dead.
            but: Whose attempts count for nothing.
        """
        run_ids = await self._database.read(lambda tx: unheld(tx, but))
        await self._all(self._give_back_of, [(run_id, worker) for run_id in run_ids])

    async def _all(self, give: Callable[..., Awaitable[None]], arguments: Iterable[tuple[bytes | str, ...]]) -> None:
        async def one(each: tuple[bytes | str, ...]) -> None:
            async with self._at_once:
                await give(*each)

        done = await asyncio.gather(*map(one, arguments), return_exceptions=True)
        for error in done:
            if isinstance(error, BaseException):
                raise error


def _tokens(tx: Tx, worker: str) -> set[bytes]:
    """The tokens of the attempts that a worker has begun and not ended."""
    return {bytes(token) for token in run_sql(tx, _TOKENS, worker).scalars()}
