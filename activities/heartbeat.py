"""Heartbeats from the background: the first token, or a silent tool, may take longer than any timeout."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from temporalio import activity

INTERVAL = 1.0
"""Seconds; a cancel reaches an activity in the answer to a heartbeat."""


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(INTERVAL)


@asynccontextmanager
async def heartbeats() -> AsyncGenerator[None]:
    """Beat while the block runs."""
    beating = asyncio.create_task(_beat())
    try:
        yield
    finally:
        beating.cancel()


@asynccontextmanager
async def leaving(resumable: asyncio.Event) -> AsyncGenerator[None]:
    """Cancel the block when the worker is shut down, as soon as another one can go on with it."""
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
    """Whether the run wants this activity to end, rather than the worker or a timeout."""
    details = activity.cancellation_details()
    return details is not None and details.cancel_requested
