"""Letting time pass, for agents that look at something again and again."""

import asyncio
from typing import Annotated

from pydantic import Field

from longrun.activities.toolbox.definition import tool

DAY = 86_400.0
_LONGEST = DAY - 60  # so that the longest wait ends by itself, not by the tool's timeout


@tool(timeout=DAY)
async def wait(seconds: Annotated[float, Field(ge=0, le=_LONGEST)]) -> str:
    """Do nothing for a while, then go on. Use it between two looks at something that takes time.

    Args:
        seconds: How long to wait, at most 86340 (just under a day).
    """
    await asyncio.sleep(seconds)
    return f"{seconds:g} seconds have passed."
