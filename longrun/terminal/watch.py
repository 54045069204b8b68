"""The commands that start, watch, show and cancel a run and send it messages, as a client of the gateway."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from longrun.client import AsyncClient, Line
from longrun.terminal.prompt import Approver, os_user
from longrun.terminal.status import summary
from longrun.terminal.view import View

_HINT = "`longrun review` lists what waits and decides it"
_ANY_WIDTH = 10_000
_COMPLETED, _NOT_COMPLETED = 0, 1
_STATUS = {"run.completed": _COMPLETED, "run.failed": _NOT_COMPLETED, "run.cancelled": _NOT_COMPLETED}


@dataclass(frozen=True)
class Watch:
    """How to watch: the gateway's URL, the seq after which to start, and whether to print events as lines of JSON."""

    url: str
    after: int = 0
    as_json: bool = False


@dataclass(frozen=True)
class Order:
    """What to start: a kept agent by its name, or one for this run alone, with a prompt, perhaps on a thread."""

    agent: str | Mapping[str, Any]
    prompt: str
    thread_id: str | None = None


async def run(order: Order, how: Watch, *, watching: bool = True) -> int:
    """Start a run and watch it, or only print its id; the exit status.

    Args:
        order: What to start.
        how: How to watch.
        watching: Whether to wait for the run at all.

    Raises:
        ClientError: It was refused, or nobody answers.
    """
    async with _opened(how) as (client, view):
        started = await client.start_run(order.agent, order.prompt, thread_id=order.thread_id)
        if watching:
            return await _watch(client, view, started.id, how)
    _write(started.model_dump_json() if how.as_json else started.id)
    return _COMPLETED


async def watch(run_id: str, how: Watch) -> int:
    """Print a run's events up to its end; the exit status.

    Raises:
        ClientError: There is no such run, or nobody answers.
    """
    async with _opened(how) as (client, view):
        return await _watch(client, view, run_id, how)


async def show(run_id: str, how: Watch) -> int:
    """Print a run's status, cost and attempts.

    Raises:
        ClientError: There is no such run, or nobody answers.
    """
    async with _opened(how) as (client, _):
        found = await client.get_run(run_id)
    if how.as_json:
        _write(found.model_dump_json())
    else:
        # Whoever reads it through a pipe wants ids whole, however wide the lines become.
        width = None if sys.stdout.isatty() else _ANY_WIDTH
        Console(highlight=False, width=width).print(summary(found), soft_wrap=True)
    return _COMPLETED


async def cancel(run_id: str, reason: str | None, how: Watch) -> int:
    """End a run; 1 if it had ended already.

    Raises:
        ClientError: There is no such run, or nobody answers.
    """
    async with _opened(how) as (client, _):
        delivery = (await client.cancel_run(run_id, reason, os_user())).delivery
    texts = {"delivered": "the run is told to end", "over": "the run is over already"}
    _write(texts.get(delivery, "the run will be told when Temporal answers again"))
    return _NOT_COMPLETED if delivery == "over" else _COMPLETED


async def say(run_id: str, text: str, how: Watch) -> int:
    """Send a message to a run.

    Raises:
        ClientError: There is no such run, it has ended, or nobody answers.
    """
    async with _opened(how) as (client, _):
        delivery = (await client.say_to_run(run_id, text, os_user())).delivery
    texts = {"delivered": "the model sees it at its next step"}
    _write(texts.get(delivery, "the run will be told when Temporal answers again"))
    return _COMPLETED


@asynccontextmanager
async def _opened(how: Watch) -> AsyncGenerator[tuple[AsyncClient, View]]:
    with View(Console(stderr=how.as_json, highlight=False), "" if _attended() else _HINT) as view:
        async with AsyncClient(
            how.url, on_interruption=lambda why: view.say(f"{why}; trying again", "yellow")
        ) as client:
            yield client, view


def _attended() -> bool:
    """Whether a person sits at the terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


async def _watch(client: AsyncClient, view: View, run_id: str, how: Watch) -> int:
    last: Line | None = None
    asking = _attended() and not how.as_json
    approver = Approver(client, view, os_user()) if asking else None
    try:
        async with aclosing(client.stream_lines(run_id, how.after)) as lines:
            async for line in lines:
                last = line
                if how.as_json:
                    _write(line.data)
                else:
                    view.show(event := line.event())
                    if approver:
                        approver.see(event)
    except asyncio.CancelledError:
        seen = last.seq if last else how.after
        view.say(f"the run goes on; `longrun watch {run_id} --after {seen}` shows the rest")
        raise
    finally:
        if approver:
            await approver.aclose()
    if last is None or last.type not in _STATUS:
        found = await client.get_run(run_id)
        view.say(f"nothing comes after event {how.after}: the run is {found.status}")
        return _COMPLETED if found.status == "completed" else _NOT_COMPLETED
    return _STATUS[last.type]


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
