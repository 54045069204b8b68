"""Finds runs that were reset and wait: no activity comes that could say so."""

import logging
from datetime import datetime, timedelta

from gateway.endings import Endings
from gateway.history.historian import Historian
from store.clock import now
from store.log import FencedError

logger = logging.getLogger(__name__)

_LAG = timedelta(seconds=10)
"""How late Temporal's list of running workflows may be."""


class ResetWatch:
    """Looks at workflows that have started lately, for a reset starts one.

    Args:
        endings: Asks Temporal.
        historian: Reads what stands.
    """

    def __init__(self, endings: Endings, historian: Historian) -> None:
        self._endings = endings
        self._historian = historian
        self._looked: datetime | None = None
        self._seen: set[tuple[str, str]] = set()
        self._open: set[tuple[str, str]] = set()

    async def look(self) -> None:
        """Reopen the runs that were reset since the last look; the first time all that are under way are looked at.

        Raises:
            TemporalAwayError: Temporal did not answer.
            StoreAwayError: The store failed.
        """
        moment = now()
        started = set(await self._endings.started_since(self._looked - _LAG if self._looked else None))
        self._open |= started - self._seen
        for run_id, link in sorted(self._open):
            if await self._settled(run_id, link):
                self._open.discard((run_id, link))
        self._seen = started - self._open
        self._looked = moment

    async def _settled(self, run_id: str, link: str) -> bool:
        try:
            return await self._historian.reopen(run_id, link)
        except FencedError as error:
            logger.info("%s", error)
            return True
