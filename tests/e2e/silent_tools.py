"""Tools that a worker loads by the name of this module: one that answers at once, and one that is silent for long."""

import asyncio

from longrun.activities.toolbox.registry import tool


@tool()
async def look(what: str) -> str:
    """Look at something."""
    return f"saw {what}"


@tool(timeout=900)
async def keep_silent(seconds: float) -> str:
    """Say nothing for so many seconds."""
    await asyncio.sleep(seconds)
    return "nothing more to say"
