"""Whether what the gateway stands on answers."""

import asyncio
from typing import Literal

from longrun.gateway.service.workflows import Workflows
from longrun.store.db.database import StoreUnavailableError
from longrun.store.runs import RunFilter, Runs
from longrun.workflows.contract.views import Readiness

_WORKER: dict[bool | None, Literal["ok", "none", "unknown"]] = {True: "ok", False: "none", None: "unknown"}


class ReadinessProbe:
    """Asks Temporal and the store for a sign of life.

    Args:
        workflows: Calls Temporal.
        runs: The store's runs.
        task_queue: That of the workers.
    """

    def __init__(self, workflows: Workflows, runs: Runs, task_queue: str) -> None:
        self._workflows = workflows
        self._runs = runs
        self._task_queue = task_queue

    async def readiness(self) -> Readiness:
        """What answers now."""
        store, temporal, missing, polled = await asyncio.gather(
            self._store_answers(),
            self._workflows.availability(),
            self._workflows.missing_attributes(),
            self._workflows.polled(self._task_queue),
        )
        ready = store and temporal == "ok" and not missing
        return Readiness(
            status="ready" if ready else "not_ready",
            temporal=temporal,
            store="ok" if store else "unavailable",
            missing_attributes=missing,
            worker=_WORKER[polled],
        )

    async def _store_answers(self) -> bool:
        try:
            await self._runs.find(RunFilter(most=1))
        except StoreUnavailableError:
            return False
        return True
