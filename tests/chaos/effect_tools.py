"""Tools that leave a line for each time they did their work: loaded by workers that are killed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from longrun.activities.toolbox.registry import tool
from longrun.activities.toolbox.tool import ToolContext
from tests.chaos.observations import EffectSeen, ExpectedTool

_FILE = "effects"
_WORK = 0.02
_LONG = 20.0


async def _do(context: ToolContext) -> str:
    await asyncio.sleep(_WORK)
    with (context.workspace / _FILE).open("a") as file:
        file.write(f"{context.run_id}\t{context.call_id}\t{context.attempt}\n")
    return f"done {context.call_id}"


def effects(workspace: Path, run_id: str) -> Iterator[EffectSeen]:
    """What the tools of a run did."""
    file = workspace / _FILE
    for line in file.read_text().splitlines() if file.exists() else ():
        run, call_id, attempt = line.split("\t")
        if run == run_id:
            yield EffectSeen(call_id, int(attempt))


@tool()
async def look(what: str, context: ToolContext) -> str:
    """Change nothing."""
    return await _do(context)


@tool(effect="write")
async def strike(what: str, context: ToolContext) -> str:
    """Change the world; a person is asked if nobody knows whether it did."""
    return await _do(context)


@tool(effect="write", on_interrupted="fail")
async def knock(what: str, context: ToolContext) -> str:
    """Change the world; the model is told if nobody knows whether it did."""
    return await _do(context)


@tool(effect="write", on_interrupted="retry")
async def store(what: str, context: ToolContext) -> str:
    """Change the world in a way that may be repeated."""
    return await _do(context)


@tool(effect="write", on_interrupted="fail")
async def linger(what: str, context: ToolContext) -> str:
    """Change the world after a long time."""
    await asyncio.sleep(_LONG)
    return await _do(context)


@tool(effect="write", approval="always")
async def pay(what: str, context: ToolContext) -> str:
    """Change the world after a person has agreed."""
    return await _do(context)


DECLARED = tuple(
    ExpectedTool(each.spec.name, each.spec.effect, each.spec.on_interrupted)
    for each in (look, strike, knock, store, linger, pay)
)
"""The same for the checker."""
