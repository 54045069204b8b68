"""The calls that this worker has in flight: who it is, what it says of them to Temporal, and when they are to stop."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Generator
from contextlib import asynccontextmanager, contextmanager, suppress

from temporalio import activity

from longrun.activities.identity import last_reported
from longrun.runtime.clock import now
from longrun.runtime.plain import PlainError
from longrun.store.attempts import Taker

logger = logging.getLogger(__name__)

INTERVAL = 30.0
"""Seconds between two heartbeats of a call, which come sooner at first. The lease tells that the worker lives."""
_FIRST = 1.0
LOOK = 0.25
"""Seconds between two looks for runs that stop, however many calls there are."""


class Pulse:
    """The heartbeat of a call. ``seen`` is the last seq that it has written, which readers may have seen."""

    def __init__(self, seen: int) -> None:
        self.seen = seen
        self._wanted = asyncio.Event()

    def wrote(self, seq: int) -> None:
        """Note what the call has written."""
        self.seen = max(self.seen, seq)

    def ask(self) -> None:
        """Send one now: Temporal answers it with the cancellation, if there is one."""
        self._wanted.set()

    async def beat(self) -> None:
        """Send heartbeats until cancelled; a call that is over at once sends none."""
        pause = _FIRST
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wanted.wait()
            self._wanted.clear()
            activity.heartbeat(self.seen)
            pause = min(2 * pause, INTERVAL)


class InFlight:
    """The model calls and tool calls of a worker.

    Args:
        worker: The worker's name.
    """

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self._pulses: defaultdict[str, set[Pulse]] = defaultdict(set)
        self._received: set[tuple[str | None, str]] = set()

    @contextmanager
    def received(self) -> Generator[None]:
        """Know of the activity that runs, until it ends."""
        info = activity.info()
        key = (info.workflow_id, info.activity_id)
        self._received.add(key)
        try:
            yield
        finally:
            self._received.discard(key)

    def knows(self, run_id: str, activity_id: str) -> bool:
        """Whether an activity of a run has reached this worker, and has not ended."""
        return (run_id, activity_id) in self._received

    def taker(self) -> Taker:
        """Who begins the attempt of the activity that runs: this worker, now."""
        return Taker(self.worker, now(), activity.info().task_token)

    @asynccontextmanager
    async def heartbeats(self, run_id: str, seen: int) -> AsyncGenerator[Pulse]:
        """Send heartbeats of a call while the block runs; readers may have seen this seq of its run."""
        pulse = Pulse(max(seen, last_reported()))
        self._pulses[run_id].add(pulse)
        beating = asyncio.create_task(pulse.beat())
        try:
            yield pulse
        finally:
            beating.cancel()
            self._pulses[run_id].discard(pulse)
            if not self._pulses[run_id]:
                del self._pulses[run_id]

    async def watch(self, stopping: Callable[[], Awaitable[Collection[str]]]) -> None:
        """Have the calls of runs that stop learn of it at once, until cancelled.

        Args:
            stopping: Finds the runs that are about to end and wait for their calls.
        """
        while True:
            if self._pulses:
                try:
                    for run_id in self._pulses.keys() & set(await stopping()):
                        for pulse in self._pulses[run_id]:
                            pulse.ask()
                except PlainError as error:
                    logger.debug("which runs stop is not known: %s", error)
                    self._ask_of_all()
                except Exception:  # without this watch a cancel would take half a minute
                    logger.exception("the runs that stop could not be looked for")
            await asyncio.sleep(LOOK)

    def _ask_of_all(self) -> None:
        for pulses in self._pulses.values():
            for pulse in pulses:
                pulse.ask()
