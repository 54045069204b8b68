"""What the store has lost of a run, from Temporal's history: its log, its rows, the run as a whole."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from temporalio.client import Client

from longrun.gateway.history.log import Rebuilt, rebuilt_from
from longrun.gateway.history.reader import HistoryReader, Tip
from longrun.gateway.history.results import Results
from longrun.runtime.clock import now
from longrun.runtime.temporal import TemporalUnavailableError
from longrun.store.db.database import Database
from longrun.store.log import LogReader
from longrun.store.repair.restore import restore_run
from longrun.store.repair.rewind import Rest, come_to_rest, load_reopenings
from longrun.store.runs import Runs
from longrun.workflows.contract.runs import FINAL
from longrun.workflows.contract.steps import Finished

__all__ = ["Comparison", "Rebuilder", "Rebuilt", "TemporalUnavailableError"]

logger = logging.getLogger(__name__)

LOOK_AGAIN = 5.0
"""Seconds for which a history that has not grown since a vain attempt is not read again."""
_MOST_REMEMBERED = 1000


_PAGE = 500


@dataclass(frozen=True)
class Comparison:
    """How many events of a history are in the store as they should be, differ there, or are missing."""

    equal: int
    different: int
    missing: int


@dataclass(frozen=True)
class _Attempt:
    """A repair: what the history was then, and up to where the log was complete after it."""

    tip: Tip
    complete_to: int
    when: float


class Rebuilder:
    """Rebuilds runs.

    Args:
        client: The way to Temporal, which may be away.
        database: The store, where restored rows go.
        runs: The store's runs.
        log: The store's logs.
    """

    def __init__(self, client: Client, database: Database, runs: Runs, log: LogReader) -> None:
        self._reader = HistoryReader(client)
        self._database = database
        self._runs = runs
        self._log = log
        self._repairs: dict[str, asyncio.Task[int]] = {}
        self._last: dict[str, _Attempt] = {}

    async def rebuild(self, run_id: str) -> Rebuilt | None:
        """The run as its history tells it; ``None`` if Temporal does not know it (any more).

        Raises:
            TemporalUnavailableError: Temporal did not answer.
            StoreUnavailableError: The store failed.
        """
        tip = await self._reader.tip(run_id)
        return await self._rebuild(run_id, tip) if tip else None

    async def _rebuild(self, run_id: str, tip: Tip) -> Rebuilt | None:
        return rebuilt_from(await self._results(run_id, tip))

    async def _results(self, run_id: str, tip: Tip) -> Results:
        results = await self._reader.results(run_id, tip)
        row = await self._runs.get(run_id)
        if row is not None and (not row.executions or row.executions.split()[-1] == tip.execution):
            # A reset is told of by what comes after it, and until then by the store alone; so is the end of a run that
            # was terminated, for the reconciler wrote it.
            results.reopen(load_reopenings(row.reopened))
            if results.finished is None and row.finished is not None:
                results.finish(Finished.model_validate_json(row.finished))
        return results

    async def reopen(self, run_id: str, execution: str) -> bool:
        """Take back what does not stand of a run that was reset and waits; false while that is not certain.

        Raises:
            FencedError: Another reset has ended the execution.
            TemporalUnavailableError: Temporal did not answer.
            StoreUnavailableError: The store failed.
        """
        row = await self._runs.get(run_id)
        if row is None or not row.executions or (execution in row.executions.split() and row.reopened is None):
            return True
        head = await self._log.head(run_id) or 0
        tip = await self._reader.tip(run_id)
        if tip is None or tip.execution != execution or tip.over:
            return True
        results = await self._results(run_id, tip) if tip.rests else None
        rebuilt = rebuilt_from(results) if results and not results.asked else None
        if rebuilt is None:
            return False
        unknown = (await self._standing(run_id)).keys() - rebuilt.lines.keys()
        rest = Rest(run_id, execution, min(unknown, default=head + 1), head)
        if await self._reader.tip(run_id) != tip:
            return False
        return await self._database.write(lambda tx: come_to_rest(tx, rest, now()))

    async def repair(self, run_id: str, before: int) -> bool:
        """Put back what is missing of a run's log; true if it is complete now up to before ``before``.

        However many ask at once, one looks.

        Raises:
            TemporalUnavailableError: Temporal did not answer.
            StoreUnavailableError: The store failed.
        """
        repair = self._repairs.get(run_id)
        if repair is None:
            repair = asyncio.create_task(self._repair(run_id))
            self._repairs[run_id] = repair
            repair.add_done_callback(self._done(run_id))
        return await asyncio.shield(repair) >= before - 1

    def _done(self, run_id: str) -> Callable[[asyncio.Task[int]], None]:
        def forget(repair: asyncio.Task[int]) -> None:
            self._repairs.pop(run_id, None)
            if not repair.cancelled() and (error := repair.exception()):
                logger.warning("the log of run %s could not be repaired: %s", run_id, error)

        return forget

    async def _repair(self, run_id: str) -> int:
        tip = await self._reader.tip(run_id)
        if tip is None:
            return 0
        last = self._last.pop(run_id, None)
        if last and last.tip == tip and monotonic() < last.when + LOOK_AGAIN:
            self._last[run_id] = last
            return last.complete_to
        rebuilt = await self._rebuild(run_id, tip)
        complete_to = await self.put_back(rebuilt) if rebuilt else 0
        if not tip.over:
            self._remember(run_id, _Attempt(tip, complete_to, monotonic()))
        return complete_to

    def _remember(self, run_id: str, attempt: _Attempt) -> None:
        while len(self._last) >= _MOST_REMEMBERED:
            del self._last[next(iter(self._last))]
        self._last[run_id] = attempt

    async def compare(self, rebuilt: Rebuilt) -> Comparison:
        """Look for each event in the store, up to where the history is complete.

        Raises:
            StoreUnavailableError: The store failed.
        """
        kept = await self._standing(rebuilt.run_id)
        there = [kept[seq] == line for seq, line in rebuilt.lines.items() if seq in kept]
        missing = sum(seq not in kept for seq in rebuilt.lines if seq <= rebuilt.last_seq)
        return Comparison(sum(there), len(there) - sum(there), missing)

    async def _standing(self, run_id: str) -> dict[int, bytes]:
        """The events of the store that stand, by seq."""
        kept: dict[int, bytes] = {}
        after = 0
        while page := await self._log.page(run_id, after, _PAGE):
            for segment in page:
                if not segment.superseded:
                    kept.update(enumerate(segment.lines(segment.first - 1), segment.first))
            after = page[-1].last
        return kept

    async def put_back(self, rebuilt: Rebuilt) -> int:
        """Put back what the store has lost of a run; the seq up to which its log is complete now.

        Raises:
            StoreUnavailableError: The store failed.
        """
        return await self._database.write(lambda tx: restore_run(tx, rebuilt.rows, rebuilt.lines, rebuilt.last_seq))

    async def restore_unknown(self, run_id: str) -> bool:
        """Bring back a run that the store does not know; false if Temporal does not know it either.

        Raises:
            TemporalUnavailableError: Temporal did not answer.
            StoreUnavailableError: The store failed.
        """
        if await self._reader.tip(run_id) is None:
            return False
        await self.repair(run_id, 1)
        return await self._runs.get(run_id) is not None

    async def catch_up(self, run_id: str) -> bool:
        """Bring a run whose workflow has ended to its end in the store; false if history does not know that end."""
        await self.repair(run_id, 1)
        row = await self._runs.get(run_id)
        return row is not None and row.status in FINAL
