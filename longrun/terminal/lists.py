"""What ``longrun list``, ``agents`` and ``tools`` print: a table for a person, or one JSON object a line."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast, get_args

from longrun.client import AsyncClient, ClientError
from longrun.terminal.wording import clean, shortened
from longrun.workflows.contract.runs import RunStatus
from longrun.workflows.contract.shape import Shape
from longrun.workflows.contract.views import RunView

_MOST_TEXT = 60
Row = Sequence[str]


@dataclass(frozen=True)
class Which:
    """Which runs: filters that may be ``None``, how many at most, and the run before which they were accepted."""

    status: str | None
    agent: str | None
    thread: str | None
    limit: int
    before: str | None


async def runs(which: Which, url: str, *, as_json: bool) -> None:
    """Print runs, newest first, and how to see older ones.

    Raises:
        ClientError: There is no such status, it was refused, or nobody answers.
    """
    if which.status not in (None, *get_args(RunStatus)):
        raise ClientError(f"there is no status {which.status!r}: it is one of {', '.join(get_args(RunStatus))}")
    status = cast("RunStatus | None", which.status)
    async with AsyncClient(url) as client:
        page = await client.list_runs(
            status=status, agent=which.agent, thread=which.thread, limit=which.limit, before=which.before
        )
    header = ("run", "status", "agent", "model", "created")
    _print(page.runs, header, map(_run_row, page.runs), as_json=as_json)
    if page.next:
        more = f"{len(page.runs)} runs; older ones: --before {page.next}\n"
        (sys.stderr if as_json else sys.stdout).write(more)


def _run_row(run: RunView) -> Row:
    reason = f" ({run.stop_reason})" if run.stop_reason and run.stop_reason != "end_turn" else ""
    return run.id, f"{run.status}{reason}", run.agent.name, run.agent.model, f"{run.created_at:%Y-%m-%d %H:%M:%S}"


async def agents(url: str, *, as_json: bool) -> None:
    """Print the kept agents by name.

    Raises:
        ClientError: It was refused, or nobody answers.
    """
    async with AsyncClient(url) as client:
        found = (await client.list_agents()).agents
    rows = [(each.name, each.model, " ".join(tool.name for tool in each.tools), _short(each.system)) for each in found]
    _print(found, ("agent", "model", "tools", "instructions"), rows, as_json=as_json)


async def tools(url: str, *, as_json: bool) -> None:
    """Print the tools that workers offer, by name.

    Raises:
        ClientError: It was refused, or nobody answers.
    """
    async with AsyncClient(url) as client:
        found = (await client.list_tools()).tools
    rows = [(each.name, each.effect, each.approval.mode, _short(each.description)) for each in found]
    _print(found, ("tool", "effect", "approval", "what it does"), rows, as_json=as_json)


def _short(text: str) -> str:
    return shortened(text, _MOST_TEXT)


def _print(found: Iterable[Shape], header: Row, rows: Iterable[Row], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.writelines(f"{each.model_dump_json()}\n" for each in found)
    else:
        sys.stdout.writelines(f"{line}\n" for line in table([header, *rows]))


def table(rows: Sequence[Row]) -> list[str]:
    """Lines of columns that are as wide as what is in them, whatever the width of the terminal."""
    cleaned = [[clean(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cleaned, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cleaned]
