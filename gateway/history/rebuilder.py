"""What the store has lost of a run, from Temporal's history: its log, its rows, the run as a whole."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from temporalio.client import Client

from longrun.gateway.history.gate import Gate
from longrun.gateway.history.log import history_from
from longrun.gateway.history.reader import HistoryReader, Tip
from longrun.gateway.history.results import Results
from longrun.runtime.clock import now
from longrun.store.blobs import Blobs
from longrun.store.db.database import Database
from longrun.store.journal import Journal
from longrun.store.log_reader import LogReader
from longrun.store.repair.restore import RunHistory, restore_run
from longrun.store.repair.rewind import IdleExecution, rewind_idle
from longrun.store.runs import Runs
from longrun.workflows.contract.runs import FINAL

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
        client: The connection to Temporal, which may be unavailable.
        database: The store, where restored rows go.
        runs: The store's runs.
        log: The store's logs.
        gate: Whether the Temporal that answers is the store's.
    """

    def __init__(
        self, client: Client, database: Database, runs: Runs, log: LogReader, gate: Gate | None = None
    ) -> None:
        self._reader = HistoryReader(client, Blobs(database).get, gate)
        self._database = database
        self._runs = runs
        self._log = log
        self._journal = Journal(database)
        self._repairs: dict[str, asyncio.Task[int]] = {}
        self._last: dict[str, _Attempt] = {}

    async def rebuild(self, run_id: str) -> RunHistory | None:
        """The run as its history tells it; ``None`` if Temporal does not know it (any more).

        Raises:
            TemporalUnavailableError: Temporal did not answer.
            StoreUnavailableError: The store failed.
        """
        tip = await self._reader.tip(run_id)
        return history_from(await self._results(run_id, tip)) if tip else None

    async def _results(self, run_id: str, tip: Tip) -> Results:
        results = await self._reader.results(run_id, tip)
        row = await self._runs.get(run_id)
        if row is not None and (not row.executions or row.executions.split()[-1] == tip.execution):
            # History has a reset only with the results after it, and until then the store alone has it; so it is with
            # the end of a terminated run, which the reconciler wrote.
            results.rewind(await self._journal.rewinds(run_id))
            if results.finished is None and (end := await self._journal.end(run_id)):
                results.add(end)
        return results

    async def rewind(self, run_id: str, execution: str) -> bool:
        """Rewind a run that was reset and waits in an execution; false while that is not certain.

        Raises:
            FencedError: Another reset has ended the execution.
            TemporalUnavailableError: Temporal did not answer.
            StoreUnavailableError: The store failed.
        """
        row = await self._runs.get(run_id)
        if row is None or not row.executions or (execution in row.executions.split() and not row.rewound):
            return True
        head = await self._log.head(run_id) or 0
        tip = await self._reader.tip(run_id)
        if tip is None or tip.execution != execution or tip.over:
            return True
        results = await self._results(run_id, tip) if tip.idle else None
        history = history_from(results) if results and not results.scheduled else None
        if history is None:
            return False
        unknown = (await self._stored(run_id)).keys() - history.lines.keys()
        idle = IdleExecution(run_id, execution, min(unknown, default=head + 1), head)
        if await self._reader.tip(run_id) != tip:
            return False
        return await self._database.write(lambda tx: rewind_idle(tx, idle, now()))

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
        history = history_from(await self._results(run_id, tip))
        complete_to = await self.restore(history) if history else 0
        if not tip.over:
            self._remember(run_id, _Attempt(tip, complete_to, monotonic()))
        return complete_to

    def _remember(self, run_id: str, attempt: _Attempt) -> None:
        while len(self._last) >= _MOST_REMEMBERED:
            del self._last[next(iter(self._last))]
        self._last[run_id] = attempt

    async def compare(self, history: RunHistory) -> Comparison:
        """Compare the events of a history with the store's, up to where the history is complete.

        Raises:
            StoreUnavailableError: The store failed.
        """
        stored = await self._stored(history.order.run_id)
        equal = [stored[seq] == line for seq, line in history.lines.items() if seq in stored]
        missing = sum(seq not in stored for seq in history.lines if seq <= history.last_seq)
        return Comparison(sum(equal), len(equal) - sum(equal), missing)

    async def _stored(self, run_id: str) -> dict[int, bytes]:
        """The events of the store that are not superseded, by seq."""
        kept: dict[int, bytes] = {}
        after = 0
        while page := await self._log.page(run_id, after, _PAGE):
            for segment in page:
                if not segment.superseded:
                    kept.update(enumerate(segment.lines(segment.first - 1), segment.first))
            after = page[-1].last
        return kept

    async def restore(self, history: RunHistory) -> int:
        """Restore what the store has lost of a run; the seq up to which its log is complete now.

        Raises:
            StoreUnavailableError: The store failed.
        """
        return await self._database.write(lambda tx: restore_run(tx, history))

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
