"""Reading runs, their attempts, their waiting calls and the results of their calls."""

from collections.abc import Sequence
from dataclasses import replace

from longrun.gateway.history.rebuilder import Rebuilder
from longrun.gateway.service.errors import UnknownResultError, UnknownRunError
from longrun.gateway.service.run import Run
from longrun.store.approvals import Approvals
from longrun.store.attempts import Attempts
from longrun.store.blobs import Blobs
from longrun.store.db.tables import RunRow
from longrun.store.runs import RunFilter, Runs
from longrun.workflows.contract.attempts import AttemptEntry
from longrun.workflows.contract.runs import PendingApproval


class RunReader:
    """Reads runs. Every method raises ``StoreUnavailableError`` if the store has failed.

    Args:
        runs: The store's runs.
        approvals: The store's approvals.
        attempts: The store's attempts.
        blobs: The store's large results.
        rebuilder: Restores a run that the store has lost from its history.
    """

    def __init__(
        self, runs: Runs, approvals: Approvals, attempts: Attempts, blobs: Blobs, rebuilder: Rebuilder
    ) -> None:
        self._runs = runs
        self._approvals = approvals
        self._attempts = attempts
        self._blobs = blobs
        self._rebuilder = rebuilder

    async def get(self, run_id: str) -> Run:
        """A run, restored from its history if the store has lost it.

        Raises:
            UnknownRunError: There is none.
            TemporalUnavailableError: The store does not know the run, and Temporal did not answer.
        """
        row = await self._runs.get(run_id)
        if row is None and await self._rebuilder.restore_unknown(run_id):
            row = await self._runs.get(run_id)
        if row is None:
            raise UnknownRunError(f"there is no run {run_id}: neither the store nor Temporal knows it (any more)")
        (run,) = await self._counted([row])
        return run

    async def find(self, which: RunFilter) -> list[Run]:
        """Runs, newest first."""
        return await self._counted(await self._runs.find(which))

    async def _counted(self, rows: Sequence[RunRow]) -> list[Run]:
        """Runs, those that go on with what they have used so far: their rows have it from the end."""
        runs = [Run.of(row) for row in rows]
        going = [run.id for run in runs if run.step and not run.over]
        usages = await self._runs.usages(going) if going else {}
        return [replace(run, usage=usages.get(run.id, run.usage)) for run in runs]

    async def pending(self, run: Run) -> tuple[PendingApproval, ...]:
        """The calls of a run that wait for a decision."""
        if run.status != "waiting":
            return ()
        rows = await self._approvals.find(run_id=run.id, status="pending")
        return tuple(PendingApproval.model_validate(row.model_dump()) for row in rows)

    async def attempts(self, run: Run) -> list[AttemptEntry]:
        """The attempts of a run in the order in which they started; one that is queued has none yet."""
        return [] if run.status == "queued" else await self._attempts.of_run(run.id)

    async def result(self, run: Run, call_id: str) -> bytes | None:
        """The whole result of a call; ``None`` if the store has lost it but for its beginning.

        Raises:
            UnknownResultError: There is no such call, or it has no result.
        """
        result = await self._blobs.result(run.id, call_id)
        if result is None:
            raise UnknownResultError(f"no call {call_id} of run {run.id} has a result")
        return result.body
