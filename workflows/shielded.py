"""Writes that a cancel must not tear: what has reached the log must reach history too, or no rebuild would have it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def ended(write: Coroutine[Any, Any, T]) -> tuple[T, bool]:
    """Let a write end; its result, and whether a cancel came meanwhile."""
    writing = asyncio.create_task(write)
    cancelled = False
    while not writing.done():
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            cancelled = True
    return writing.result(), cancelled


async def whole(write: Coroutine[Any, Any, T]) -> T:
    """Let a write end, and then be cancelled if a cancel came meanwhile; its result."""
    result, cancelled = await ended(write)
    if cancelled:
        raise asyncio.CancelledError
    return result
