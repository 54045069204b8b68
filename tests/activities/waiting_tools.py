"""Tools that note that they have begun, and wait for a file that lets this attempt of theirs go on."""

import asyncio
import ctypes
from pathlib import Path

from longrun.activities.toolbox.registry import tool
from longrun.activities.toolbox.tool import ToolContext
from tests.harness import until
from tests.tools import note


def release(workspace: Path, mark: str, attempt: int) -> None:
    """Let an attempt of a call go on."""
    (workspace / f"{mark}.{attempt}").touch()


async def _wait(context: ToolContext, mark: str) -> str:
    note(context.workspace, f"{mark} {context.attempt}")

    async def released() -> bool:
        return (context.workspace / f"{mark}.{context.attempt}").exists()

    await until(released, f"{mark} to be released")
    return f"{mark} came at attempt {context.attempt}"


@tool()
async def watch(mark: str, context: ToolContext) -> str:
    """Wait, and change nothing."""
    return await _wait(context, mark)


@tool(effect="write")
async def strike(mark: str, context: ToolContext) -> str:
    """Change the world, and then wait."""
    return await _wait(context, mark)


@tool(effect="write", on_interrupted="retry")
async def strike_again(mark: str, context: ToolContext) -> str:
    """Change the world as often as it takes, and then wait."""
    return await _wait(context, mark)


@tool(effect="write", on_interrupted="fail")
async def strike_once(mark: str, context: ToolContext) -> str:
    """Change the world once, and then wait."""
    return await _wait(context, mark)


@tool()
async def count(context: ToolContext) -> str:
    """Count, and report it; the first attempt never comes to an end."""
    for number in range(50 if context.attempt == 1 else 3):
        await context.progress({"number": number, "attempt": context.attempt})
    if context.attempt == 1:
        await asyncio.Event().wait()
    return "counted"


@tool()
async def hold_the_interpreter(seconds: float) -> str:
    """Let no other thread of this process run, as a regular expression may."""
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))
    return "held"
