"""Delivery of the outbox: the signals of a run go out in the order in which they were accepted."""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from weakref import WeakValueDictionary

from temporalio.service import RPCError, RPCStatusCode

from longrun.gateway.service.workflows import Workflows
from longrun.runtime.clock import now
from longrun.runtime.failpoints import reached
from longrun.runtime.temporal import TemporalUnavailableError
from longrun.store.db.database import StoreUnavailableError
from longrun.store.outbox import Outbox, Signal
from longrun.store.runs import Runs
from longrun.workflows.contract.runs import FINAL
from longrun.workflows.signals import SIGNALS

logger = logging.getLogger(__name__)

_PERMANENT = frozenset({RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT})
"""Refusals of a signal that would be the same the next time, and would hold up the signals behind it."""

Fate = Literal["delivered", "accepted", "over"]
"""Of a signal: the workflow has it; it is kept until Temporal answers; the workflow has ended."""


@dataclass(eq=False)
class _Queue:
    """The callers that deliver to one run, one at a time; ``blocked`` if the last one could not deliver."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    blocked: bool = False


class Delivery:
    """Delivers signals: whoever sends one first sends what waits before it, whichever gateway accepted that.

    A signal may so be sent twice; the workflow ignores the second one.

    Args:
        workflows: Calls Temporal.
        runs: The store's runs.
        outbox: The store's outbox.
    """

    def __init__(self, workflows: Workflows, runs: Runs, outbox: Outbox) -> None:
        self._workflows = workflows
        self._runs = runs
        self._outbox = outbox
        self._queues: WeakValueDictionary[str, _Queue] = WeakValueDictionary()

    async def accept(self, signal: Signal) -> Signal:
        """Put a signal into the outbox; the one under its key, which is an earlier one if there was one.

        Raises:
            StoreUnavailableError: The store failed; nothing was accepted.
        """
        return await self._outbox.accept(signal, now())

    async def send(self, signal: Signal) -> Fate:
        """Deliver an accepted signal; the reconciler does so later if that fails now."""
        try:
            return await self.deliver(signal.run_id, signal)
        except (RPCError, TemporalUnavailableError, StoreUnavailableError) as error:
            logger.warning("%s waits: %s", signal.key, error)
            return "accepted"

    async def waiting(self, before: datetime) -> list[str]:
        """The runs whose outbox has signals that were accepted before a time.

        Raises:
            StoreUnavailableError: The store failed.
        """
        return list(dict.fromkeys(signal.run_id for signal in await self._outbox.undelivered(before)))

    async def deliver(self, run_id: str, last: Signal | None = None) -> Fate:
        """Deliver the outbox of a run, in order; the fate of ``last``, or of all.

        Args:
            run_id: The run.
            last: A signal of its outbox. One that was delivered before is sent again: the run may have been reset.

        Raises:
            RPCError: Temporal refused.
            TemporalUnavailableError: Temporal did not answer.
            StoreUnavailableError: The store failed.
        """
        queue = self._queues.setdefault(run_id, _Queue())
        queued = queue.turn.locked()
        async with queue.turn:
            if queued and queue.blocked:
                return "accepted"
            queue.blocked = True
            fate = await self._deliver_all(run_id, last)
            queue.blocked = fate == "accepted"
            return fate

    async def _deliver_all(self, run_id: str, last: Signal | None) -> Fate:
        signals = await self._outbox.undelivered_of(run_id)
        if last and last not in signals:
            signals.append(last)
        of_last: Fate = "delivered"
        for signal in signals:
            fate = await self._deliver(signal)
            if fate == "accepted":
                return fate
            if signal == last:
                of_last = fate
        return of_last

    async def _deliver(self, signal: Signal) -> Fate:
        fate: Fate = "delivered"
        try:
            argument = SIGNALS[signal.kind].model_validate_json(signal.body)
            await self._workflows.signal(signal.run_id, signal.kind, argument)
            if signal.kind == "decide":
                reached("decision delivered")
        except RPCError as error:
            if error.status not in _PERMANENT:
                raise
            row = await self._runs.get(signal.run_id)
            if row is not None and not row.dispatched and row.status not in FINAL:
                return "accepted"  # its workflow is yet to be started
            logger.warning("%s is given up: %s", signal.key, error.message)
            fate = "over"
        await self._outbox.delivered(signal.key, now())
        return fate
