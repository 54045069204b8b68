"""The wait for a run to confirm a decision."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def confirmed(
    look: Callable[[], Awaitable[T | None]], news: Callable[[], Awaitable[object]], within: float
) -> T | None:
    """What ``look`` finds, now or after some news; ``None`` if that is nothing for so long.

    Args:
        look: Looks for the confirmation, once.
        news: Returns when it may be worth another look.
        within: How many seconds to wait.
    """
    try:
        async with asyncio.timeout(within):
            while (found := await look()) is None:
                await news()
            return found
    except TimeoutError:
        return None
