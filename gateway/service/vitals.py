"""The tasks without which a gateway is none: watched, started again when they die, and told of meanwhile."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from longrun.runtime.clock import now

logger = logging.getLogger(__name__)

_LONGEST_PAUSE = 60.0


class Vitals:
    """Keeps tasks alive. ``down`` names those that are not now, each with the time at which it died."""

    def __init__(self, pause: float = 1.0) -> None:
        self._pause = pause
        self.down: dict[str, datetime] = {}

    async def keep(self, name: str, serve: Callable[[], Awaitable[None]]) -> None:
        """Serve until cancelled: again, after growing pauses, whenever that ends."""
        pause = self._pause
        while True:
            try:
                await serve()
                logger.error("%s has ended; it is started again in %g s", name, pause)
            except Exception:  # whatever it is, without this task the process would only seem to live
                logger.exception("%s has died; it is started again in %g s", name, pause)
            self.down[name] = now()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            del self.down[name]
