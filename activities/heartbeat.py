"""Heartbeats of an activity from a task of their own, and the ends that Temporal can ask it for."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from temporalio import activity

INTERVAL = 1.0
"""Seconds between two heartbeats. A cancellation reaches an activity in the answer to one."""


@dataclass
class Pulse:
    """What heartbeats say: the last seq that the activity has written, which readers may have seen."""

    seen: int


async def _beat(pulse: Pulse) -> None:
    while True:
        activity.heartbeat(pulse.seen)
        await asyncio.sleep(INTERVAL)


@asynccontextmanager
async def heartbeats(seen: int) -> AsyncGenerator[Pulse]:
    """Send heartbeats while the block runs, the first with this seq."""
    pulse = Pulse(seen)
    beating = asyncio.create_task(_beat(pulse))
    try:
        yield pulse
    finally:
        beating.cancel()


@asynccontextmanager
async def cancelled_on_shutdown(resumable: asyncio.Event) -> AsyncGenerator[None]:
    """Cancel the block when the worker is shut down, as soon as another worker can resume it (``resumable``)."""
    block = asyncio.current_task()

    async def watch() -> None:
        await activity.wait_for_worker_shutdown()
        await resumable.wait()
        if block:
            block.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


def cancelled_by_run() -> bool:
    """Whether the workflow has cancelled this activity, rather than a shutdown or a timeout."""
    details = activity.cancellation_details()
    return details is not None and details.cancel_requested
