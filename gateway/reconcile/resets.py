"""Finds runs that were reset and wait, so that no activity of the new execution comes."""

import logging
from datetime import datetime, timedelta

from longrun.gateway.history.rebuilder import Rebuilder
from longrun.gateway.service.executions import Executions
from longrun.runtime.clock import now
from longrun.store.log import FencedError

logger = logging.getLogger(__name__)

_LAG = timedelta(seconds=10)
"""How late Temporal's list of running workflows may be."""


class ResetWatch:
    """Looks at workflows that have started lately, for a reset starts one.

    Args:
        executions: Asks Temporal.
        rebuilder: Reads what stands.
    """

    def __init__(self, executions: Executions, rebuilder: Rebuilder) -> None:
        self._executions = executions
        self._rebuilder = rebuilder
        self._looked: datetime | None = None
        self._seen: set[tuple[str, str]] = set()
        self._open: set[tuple[str, str]] = set()

    async def look(self) -> None:
        """Rewind the runs that were reset since the last look; the first time all that are under way are looked at.

        Raises:
            TemporalUnavailableError: Temporal did not answer.
            StoreUnavailableError: The store failed.
        """
        moment = now()
        started = set(await self._executions.started_since(self._looked - _LAG if self._looked else None))
        self._open |= started - self._seen
        for run_id, execution in sorted(self._open):
            if await self._settled(run_id, execution):
                self._open.discard((run_id, execution))
        self._seen = started - self._open
        self._looked = moment

    async def _settled(self, run_id: str, execution: str) -> bool:
        try:
            return await self._rebuilder.rewind(run_id, execution)
        except FencedError as error:
            logger.info("%s", error)
            return True
