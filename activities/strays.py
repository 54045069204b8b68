"""Calls that Temporal has given to this worker and that never came: it was killed in the middle of its answer."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection

from longrun.runtime.plain import PlainError

logger = logging.getLogger(__name__)

LOOK = 5.0
"""Seconds between two looks; what is late at one of them is asked about at the next."""
MOST = 20
"""Runs that are asked about at one look: of many that wait for a worker, Temporal is not asked about all."""
LATE = 10.0
"""Seconds after which a call that Temporal has given out has not reached its worker and never will."""


class Strays:
    """Has calls given out anew; without it they would wait for their heartbeat timeout.

    Each worker does so for its own calls: it alone knows which have reached it.

    Args:
        unheld: Finds the runs of which nobody is known to hold all that there is to do.
        give_back: Fails what Temporal has given this worker of a run and has not reached it.
    """

    def __init__(
        self, unheld: Callable[[], Awaitable[Collection[str]]], give_back: Callable[[str], Awaitable[None]]
    ) -> None:
        self._unheld = unheld
        self._give_back = give_back
        self._before: frozenset[str] = frozenset()

    async def serve(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                await self.look()
            except PlainError as error:  # the store or Temporal does not answer
                logger.debug("calls that have not come are not looked for: %s", error)
            except Exception:  # without this watch they would wait for a minute and a half
                logger.exception("calls that have not come could not be looked for")

    async def look(self) -> None:
        """Look once.

        Raises:
            StoreUnavailableError: The store failed.
            TemporalUnavailableError: Temporal did not answer.
        """
        found = frozenset(await self._unheld())
        late, self._before = sorted(found & self._before), found
        for run_id in random.sample(late, min(MOST, len(late))):
            await self._give_back(run_id)
