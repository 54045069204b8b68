"""The tool that the measured runs call: it lets time pass."""

import asyncio

from longrun import tool


@tool()
async def wait(seconds: float) -> str:
    """Do nothing for a while, then go on. Use it between two looks at something that takes time.

    Args:
        seconds: How long to wait.
    """
    await asyncio.sleep(seconds)
    return f"{seconds:g} seconds have passed."
