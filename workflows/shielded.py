"""Writes that are shielded from cancellation: what the log has, history must have too, or a rebuild would lack it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def ended(write: Coroutine[Any, Any, T]) -> tuple[T, bool]:
    """Wait for a write to end; its result, and whether the task was cancelled meanwhile."""
    writing = asyncio.create_task(write)
    cancelled = False
    while not writing.done():
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            cancelled = True
    return writing.result(), cancelled


async def completed(write: Coroutine[Any, Any, T]) -> T:
    """Wait for a write to end; its result. A cancellation that came meanwhile takes effect then."""
    result, cancelled = await ended(write)
    if cancelled:
        raise asyncio.CancelledError
    return result
