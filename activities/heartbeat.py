"""Heartbeats of an activity from a task of their own, and the ends that Temporal can ask it for."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from temporalio import activity

INTERVAL = 1.0
"""Seconds between two heartbeats. A cancellation reaches an activity in the answer to one."""


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(INTERVAL)


@asynccontextmanager
async def heartbeats() -> AsyncGenerator[None]:
    """Send heartbeats while the block runs."""
    beating = asyncio.create_task(_beat())
    try:
        yield
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
