"""Whether what the gateway stands on answers."""

import asyncio

from longrun.gateway.service.workflows import Workflows
from longrun.store.db.database import StoreUnavailableError
from longrun.store.runs import RunFilter, Runs
from longrun.workflows.contract.views import Availability, Readiness


class ReadinessProbe:
    """Asks Temporal and the store for a sign of life.

    Args:
        workflows: Calls Temporal.
        runs: The store's runs.
    """

    def __init__(self, workflows: Workflows, runs: Runs) -> None:
        self._workflows = workflows
        self._runs = runs

    async def readiness(self) -> Readiness:
        """What answers now."""
        temporal, store = await asyncio.gather(self._workflows.available(), self._store_answers())
        status = "ready" if temporal and store else "not_ready"
        return Readiness(status=status, temporal=_availability(temporal), store=_availability(store))

    async def _store_answers(self) -> bool:
        try:
            await self._runs.find(RunFilter(most=1))
        except StoreUnavailableError:
            return False
        return True


def _availability(answers: bool) -> Availability:  # noqa: FBT001 - the answer of a probe
    return "ok" if answers else "unavailable"
