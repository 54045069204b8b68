"""Keeps promises: starts accepted runs, delivers the outbox, ends runs whose workflows closed without an end."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from itertools import islice

from temporalio.service import RPCError, RPCStatusCode

from longrun.gateway.history.rebuilder import Rebuilder
from longrun.gateway.reconcile.bad_runs import BadRuns
from longrun.gateway.reconcile.resets import ResetWatch
from longrun.gateway.service.delivery import Delivery
from longrun.gateway.service.executions import VANISHED
from longrun.gateway.service.runs import RunService
from longrun.runtime.clock import now
from longrun.runtime.temporal import TemporalUnavailableError
from longrun.store.db.database import StoreUnavailableError
from longrun.store.db.tables import RunRow
from longrun.store.log import FencedError, LostRunError
from longrun.store.repair.rewind import Origin
from longrun.store.runs import Runs
from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.messages import Usage
from longrun.workflows.contract.requests import Finish
from longrun.workflows.contract.runs import FINAL, Outcome, RunOrder

logger = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two rounds; what is younger than this is still in its own caller's hands."""
LONGEST_PAUSE = 2.0
"""Seconds between two rounds while Temporal or the store is unavailable, at most: what waits goes out soon after."""
SWEEP = timedelta(seconds=30)
"""How often the active runs are compared with what Temporal has under way."""
_STARTED_AT_ONCE = 20
_SWEPT_AT_ONCE = 200
_WATCHED_AT_ONCE = 20
_LAG = timedelta(seconds=10)
"""How late Temporal's list of closed workflows may be."""
Watched = Callable[[], Mapping[str, int]]


class Reconciler:
    """Compares the store with Temporal, again and again.

    Args:
        service: Starts runs, and finds how they ended.
        runs: The store's runs.
        delivery: Delivers the outbox.
        rebuilder: Brings back what the store has lost.
        watched: The runs that have viewers, each with the last seq that they have.
    """

    def __init__(
        self, service: RunService, runs: Runs, delivery: Delivery, rebuilder: Rebuilder, watched: Watched
    ) -> None:
        self._service = service
        self._runs = runs
        self._delivery = delivery
        self._rebuilder = rebuilder
        self._watched = watched
        self._seen: Mapping[str, int] = {}
        self._turn = ""
        self._resets = ResetWatch(service.executions, rebuilder)
        self._looked = now()
        self._swept: datetime | None = None
        self._bad, self._mute = BadRuns(), BadRuns()
        self._sweep: deque[str] = deque()

    async def serve(self) -> None:
        """Do rounds until cancelled, fewer while Temporal or the store is unavailable."""
        pause = INTERVAL
        while True:
            if await self._tried(self.round):
                if pause > INTERVAL:
                    logger.info("Temporal and the store answer again")
                pause = INTERVAL
            else:
                pause = min(2 * pause, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _tried(self, job: Callable[[], Awaitable[None]]) -> bool:
        try:
            await job()
        except (TemporalUnavailableError, StoreUnavailableError, RPCError) as error:
            self._warn(error)
            return False
        except Exception:
            logger.exception("a round of the reconciler failed")
            return False
        self._warned = False
        return True

    _warned = False

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            logger.warning("runs that wait for it are looked at again when it is back: %s", error)
        self._warned = True

    async def round(self) -> None:
        """Do once all there is to do.

        Raises:
            TemporalUnavailableError: Temporal did not answer.
            StoreUnavailableError: The store failed.
        """
        await self._start_accepted()
        await self._deliver_signals()
        await self._end_abrupt()
        await self._resets.look()
        await self._look_at_watched()
        await self._look_at_active()

    def look_at_all(self) -> None:
        """Look at every active run in the next round."""
        self._swept = None

    async def _start_accepted(self) -> None:
        waiting = iter(await self._runs.undispatched(now() - timedelta(seconds=INTERVAL)))
        while orders := list(islice(waiting, _STARTED_AT_ONCE)):
            await asyncio.gather(*map(self._start, orders))

    async def _start(self, order: RunOrder) -> None:
        if not self._bad.waits(order.run_id):
            with self._bad.forgiving(order.run_id):
                await self._dispatch(order)

    async def _dispatch(self, order: RunOrder) -> None:
        try:
            await self._service.dispatch(order)
        except RPCError as error:
            if error.status != RPCStatusCode.INVALID_ARGUMENT or await self._service.missing_attributes():
                raise
            message = f"Temporal refused to start the run: {error.message}"
            await self._finish(
                order.run_id,
                1,
                Outcome(status="failed", stop_reason="error", error=ErrorInfo(type="error", message=message)),
                Usage(),
            )

    async def _deliver_signals(self) -> None:
        """Deliver in order; what must wait holds back only its own run's later signals."""
        for run_id in await self._delivery.waiting(now() - timedelta(seconds=INTERVAL)):
            if not self._mute.waits(run_id):
                with self._mute.forgiving(run_id):
                    await self._delivery.deliver(run_id)

    async def _end_abrupt(self) -> None:
        moment = now()
        for run_id in await self._service.executions.abrupt_since(self._looked - _LAG):
            await self._look_at(run_id)
        self._looked = moment

    async def _look_at(self, run_id: str) -> None:
        """Look at a run; one that cannot be looked at is left alone for a while, and the round goes on."""
        if self._bad.waits(run_id):
            return
        with self._bad.forgiving(run_id):
            row = await self._runs.get(run_id)
            if row is not None and row.status not in FINAL:
                await self._end(row)

    async def _look_at_watched(self) -> None:
        """Look at runs whose viewers have received nothing since the last round, some at a time, in rotation.

        Somebody waits for their end, and Temporal's list may be late.
        """
        before, self._seen = self._seen, self._watched()
        quiet = [run_id for run_id, cursor in self._seen.items() if before.get(run_id) == cursor]
        for run_id in sorted(quiet, key=lambda each: (each <= self._turn, each))[:_WATCHED_AT_ONCE]:
            self._turn = run_id
            row = await self._runs.get(run_id)
            if row is not None and row.dispatched:
                await self._look_at(run_id)

    async def _look_at_active(self) -> None:
        """Compare what goes on here with what goes on there, and look at the runs that do so in one place only."""
        if self._swept is None or (not self._sweep and now() - self._swept >= SWEEP):
            self._swept = now()
            active = await self._runs.active()
            running = await self._service.executions.running()
            await self._bring_back(running - active)
            self._sweep = deque(sorted(active - running))
        for _ in range(min(_SWEPT_AT_ONCE, len(self._sweep))):
            await self._look_at(self._sweep.popleft())

    async def _bring_back(self, run_ids: frozenset[str]) -> None:
        """Bring back runs that go on although the store has lost them."""
        for run_id in sorted(run_ids):
            if not self._bad.waits(run_id) and await self._runs.get(run_id) is None:
                with self._bad.forgiving(run_id):
                    logger.warning("run %s is brought back from its history", run_id)
                    await self._rebuilder.restore_unknown(run_id)

    async def _end(self, row: RunRow) -> None:
        """End a run whose workflow has closed; one without a step is started again if Temporal does not know it."""
        outcome = await self._service.executions.of(row.id)
        if outcome is None:
            return
        if outcome == VANISHED and row.step == 0:
            await self._dispatch(RunOrder.model_validate_json(row.order))
            return
        if await self._rebuilder.catch_up(row.id):
            return
        history = await self._rebuilder.rebuild(row.id)
        usage = history.usage if history else (await self._runs.usages([row.id])).get(row.id, Usage())
        if history and history.executions:  # even without an activity, a reset may go on from the newest one
            await self._runs.admit(Origin(row.id, history.executions[-1]), now())
        await self._finish(row.id, row.turn, outcome, usage)

    async def _finish(self, run_id: str, turn: int, outcome: Outcome, usage: Usage) -> None:
        message = outcome.error.message if outcome.error else outcome.stop_reason
        logger.warning("run %s is ended: %s", run_id, message)
        finish = Finish(run_id=run_id, turn=turn, outcome=outcome, usage=usage)
        try:
            _, following = await self._runs.finish(finish, now())
        except (FencedError, LostRunError) as error:
            logger.info("run %s cannot be ended: %s", run_id, error)
            return
        if following:
            await self._dispatch(following)
