"""The ends that Temporal can ask an activity for."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from temporalio import activity


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
