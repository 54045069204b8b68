"""Waiting."""

import asyncio

import pytest

from longrun.activities.toolbox.registry import Toolbox, ToolResult
from longrun.activities.toolbox.tool import ToolContext


async def test_a_wait_ends_and_says_so(toolbox: Toolbox, context: ToolContext) -> None:
    assert await toolbox.run("wait", '{"seconds": 0.01}', context) == ToolResult("ok", "0.01 seconds have passed.")


async def test_a_wait_has_a_longest(toolbox: Toolbox, context: ToolContext) -> None:
    result = await toolbox.run("wait", '{"seconds": 90000}', context)
    assert result.status == "error"
    assert "- seconds: Input should be less than or equal to 86340" in result.content


async def test_a_wait_can_be_cancelled(toolbox: Toolbox, context: ToolContext) -> None:
    task = asyncio.create_task(toolbox.run("wait", '{"seconds": 80000}', context))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
