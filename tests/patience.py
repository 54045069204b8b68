"""How long a test waits for what must come. It is no promise of speed: a slow machine must not fail a test."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import chain, repeat

PATIENCE = 120.0
"""Seconds. What hangs is ended by pytest-timeout, later."""


def pauses() -> Iterator[float]:
    """Seconds between one look and the next: soon at first, and then so that many who wait do not wear the machine."""
    return chain((0.005, 0.01, 0.01, 0.02), repeat(0.04))


async def until_true(condition: Callable[[], object], what: Callable[[], str]) -> None:
    """Look again and again until a condition holds; fail with ``what`` was waited for."""
    try:
        async with asyncio.timeout(PATIENCE):
            for pause in pauses():
                if condition():
                    return
                await asyncio.sleep(pause)
    except TimeoutError:
        pass
    raise AssertionError(f"waited in vain for {what()}")
