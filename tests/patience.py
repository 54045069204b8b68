"""How long a test waits for what must come. It is no promise of speed: a slow machine must not fail a test."""

import asyncio
from collections.abc import Callable

PATIENCE = 120.0
"""Seconds. What hangs is ended by pytest-timeout, later."""


async def until_true(condition: Callable[[], object], what: Callable[[], str]) -> None:
    """Look again and again until a condition holds; fail with ``what`` was waited for."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - what is looked at lives in other processes
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"waited in vain for {what()}") from None
