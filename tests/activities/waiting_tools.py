"""Tools that note that they have begun, and wait for a file that lets this attempt of theirs go on."""

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
