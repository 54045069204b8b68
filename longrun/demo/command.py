"""The demo from its start to its end: a folder of its own, everything that runs in it, the acts, what was proved."""

import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import textwrap
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from longrun.client import AsyncClient, ClientError
from longrun.demo.proofs import Proof
from longrun.demo.reviewer import Reviewer
from longrun.demo.show import REAL, SCRIPTED, DemoError, Show
from longrun.demo.stack import Stack, notify_folder, running
from longrun.gateway.history.reader import HistoryReader
from longrun.gateway.service.reviews import ReviewError, Reviews
from longrun.gateway.service.workflows import Workflows
from longrun.runtime.temporal import TemporalUnavailableError
from longrun.terminal.prompt import ask, os_user
from longrun.terminal.view import View
from longrun.terminal.wording import clean

MODEL = "scripted/demo"
PROVED, NOT_PROVED, INTERRUPTED = 0, 1, 130
_GATEWAY = Path(__file__).parents[1]
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WIDTH = 100
"""Columns that are used where there are more, or where there is no terminal."""
_NAMES = 22
"""Columns for the names of the proofs."""
_LINES = 2
"""Lines of a tool's result: the demo is about something else."""
_LOOK_AROUND = 300.0
"""Seconds for which everything keeps running, for a person who looks at it."""


@dataclass(frozen=True)
class DemoOptions:
    """Which model plays the agent, and whether the folder stays."""

    model: str = MODEL
    keep: bool = False


def docs_folder() -> Path:
    """Longrun's own documents: inside the package of a wheel, beside it in a checkout."""
    inside = _GATEWAY / "docs"
    return inside if inside.is_dir() else _GATEWAY.parent / "docs"


async def demonstrate(options: DemoOptions, console: Console) -> int:
    """Show everything; 0 if all of it was proved, 1 if not, 130 if it was interrupted.

    Raises:
        SetupError: It cannot be started.
    """
    console.width = min(_WIDTH, console.width) if console.is_terminal else _WIDTH
    home = Path(tempfile.mkdtemp(prefix="longrun-demo-"))
    status = INTERRUPTED
    try:
        with _cancel_on_signals():
            shutil.copytree(docs_folder(), home / "workspace" / "docs")
            status = await _demonstrate(options, console, home)
    except asyncio.CancelledError:
        _tell(console, "Interrupted.")
    finally:
        shutil.rmtree(notify_folder(home), ignore_errors=True)
        _leave(console, home, keep=options.keep or status == NOT_PROVED)
    return status


def _leave(console: Console, home: Path, *, keep: bool) -> None:
    """Keep or remove the folder, and say so, after everything has ended."""
    if keep:
        _tell(console, f"All processes have ended. Look into {home / 'demo.log'}, or bring the run back:")
        _tell(console, f"  longrun dev --home {home}")
    else:
        shutil.rmtree(home, ignore_errors=True)
        _tell(console, "All processes have ended and the folder is removed; --keep keeps it.")


@contextlib.contextmanager
def _cancel_on_signals() -> Generator[None]:
    """Cancel the task on the first signal; further ones change nothing, for the end takes seconds only."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    cancelling = asyncio.Event()

    def on_signal() -> None:
        if task is not None and not cancelling.is_set():
            cancelling.set()
            task.cancel()

    # Not a signal that is ignored on purpose, as SIGHUP is under nohup.
    numbers = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _demonstrate(options: DemoOptions, console: Console, home: Path) -> int:
    began = time.monotonic()
    _tell(console, Text("longrun demo: one run of an agent, and what usually breaks one", "bold"))
    _tell(console, f"  Folder: {home}")
    async with running(home, options.model, lambda text: _tell(console, f"  {text}")) as stack:
        _tell(console, f"  API: {stack.plan.api}, ready after {time.monotonic() - began:.0f} s")
        attended = sys.stdin.isatty() and console.is_terminal
        show = await _play(options, console, stack, attended=attended)
        status = _conclude(console, show, time.monotonic() - began)
        if attended and show.run_id:
            await _look_around(console, show)
    return status


async def _play(options: DemoOptions, console: Console, stack: Stack, *, attended: bool) -> Show:
    temporal = await Client.connect(stack.plan.temporal, data_converter=pydantic_data_converter, lazy=True)
    with View(console, most=console.width - 4, lines=_LINES) as view:
        async with AsyncClient(stack.plan.api, on_interruption=view.retrying) as client:
            reviewer = Reviewer(Reviews(Workflows(temporal), HistoryReader(temporal)), view, attended, os_user())
            cues = SCRIPTED if options.model == MODEL else REAL
            show = Show(stack, client, view, reviewer, cues)
            try:
                await show.play(options.model)
            except (DemoError, ClientError, ReviewError, TemporalUnavailableError) as error:
                show.proofs.append(Proof(show.act, held=False, figures=str(error)))
            return show


def _conclude(console: Console, show: Show, seconds: float) -> int:
    """Print what was proved; the exit status."""
    failed = [proof.name for proof in show.proofs if not proof.held]
    _tell(console, Text("\nWhat came out" if failed else "\nWhat was proved", "bold"))
    for proof in show.proofs:
        mark, style = ("✓", "green") if proof.held else ("✗", "red")
        name = f"{mark} {proof.name:<{_NAMES}}"
        figures = textwrap.wrap(clean(proof.figures), max(_NAMES, console.width - len(name)), break_on_hyphens=False)
        _tell(console, Text.assemble((name, style), f"\n{' ' * len(name)}".join(figures)))
    if failed:
        _tell(console, Text(f"NOT proved after {seconds:.0f} s: {', '.join(failed)}", "bold red"))
        return NOT_PROVED
    _tell(console, Text(f"All of it proved in {seconds:.0f} s.", "bold green"))
    return PROVED


async def _look_around(console: Console, show: Show) -> None:
    _tell(console, f"\n  Web UI: {show.web_ui}\n  Report: {show.report}")
    _tell(console, "All of it still runs: look around. Enter ends it.")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LOOK_AROUND):
            await ask("")


def _tell(console: Console, text: str | Text) -> None:
    console.print(text if isinstance(text, Text) else Text(text), soft_wrap=True)
