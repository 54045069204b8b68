"""Tools for tests: one that reads, one that writes, and ones that wait at a gate."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from longrun.activities.toolbox.registry import Tool, tool
from longrun.activities.toolbox.tool import ToolContext
from longrun.workflows.contract.agents import OnInterrupt
from tests.provider_fake import Gate


@tool()
async def look(what: str) -> str:
    """Look at something."""
    return f"saw {what}"


@tool(effect="write", approval="always")
async def pay(context: ToolContext, amount: float = 1) -> str:
    """Pay an amount: adds a line to the ledger."""
    note(context.workspace, f"{amount:g}")
    return f"paid {amount:g}"


def note(workspace: Path, line: str) -> None:
    """Add a line to the ledger."""
    with (workspace / "ledger").open("a") as ledger:
        ledger.write(f"{line}\n")


def noted(workspace: Path) -> list[str]:
    """The lines of the ledger."""
    ledger = workspace / "ledger"
    return ledger.read_text().splitlines() if ledger.exists() else []


def held(gate: Gate, name: str = "hold") -> Tool:
    """A tool that says that it has begun, and waits."""

    async def hold(context: ToolContext) -> str:
        await context.progress({"attempt": context.attempt, "nothing": None})
        await gate.passed()
        return "let go"

    return _named(hold, name)


def _named(function: Callable[..., object], name: str) -> Tool:
    function.__name__ = name
    function.__doc__ = "Wait."
    return tool()(function)  # pyright: ignore[reportArgumentType] # it is an async function


def snapping(
    times: int = 1, on_interrupted: OnInterrupt = "ask", approval: Literal["never", "always"] = "never"
) -> Tool:
    """A tool with an effect, whose worker leaves it after that, as if it had died, in its first attempts."""

    @tool(effect="write", on_interrupted=on_interrupted, approval=approval)
    async def snap(context: ToolContext, what: str = "twig") -> str:
        """Snap something."""
        note(context.workspace, f"{what} {context.call_id}")
        if context.attempt <= times:
            raise asyncio.CancelledError
        return f"snapped {what} at attempt {context.attempt}"

    return snap


TOOLS: tuple[Tool, ...] = (look, pay)
