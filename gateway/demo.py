"""``longrun demo``: shows in a minute, without any key, what longrun promises, and checks each promise.

Everything runs in a folder of its own, on free ports, and ends with the command.
"""

import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from gateway.away import TemporalAwayError
from gateway.client import ClientError, open_api
from gateway.demo_proofs import Proof
from gateway.demo_reviewer import Reviewer
from gateway.demo_show import REAL, SCRIPTED, DemoError, Show
from gateway.demo_stack import Stack, pokes_folder, running
from gateway.prompt import Keyboard, os_user
from gateway.review import ReviewError, Reviews
from gateway.view import View

MODEL = "scripted/demo"
INTERRUPTED = 130
_PACKAGE = Path(__file__).parent
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_AROUND = 300.0
"""Seconds for which everything is left running where a person may look at it."""


@dataclass(frozen=True)
class DemoOptions:
    """Which model plays the agent, and whether the folder stays."""

    model: str = MODEL
    keep: bool = False


def docs_folder() -> Path:
    """Longrun's own documents: inside the package of a wheel, beside it in a checkout."""
    inside = _PACKAGE / "docs"
    return inside if inside.is_dir() else _PACKAGE.parent / "docs"


async def demonstrate(options: DemoOptions, console: Console) -> int:
    """Show everything; 0 if all of it was proved, 1 if not, 130 if it was interrupted.

    Raises:
        SetupError: It cannot be started.
    """
    with _home(options, console) as home, _cancel_on_signals():
        try:
            return await _demonstrate(options, console, home)
        except asyncio.CancelledError:
            console.print("interrupted: all ended")
            return INTERRUPTED


@contextlib.contextmanager
def _home(options: DemoOptions, console: Console) -> Generator[Path]:
    home = Path(tempfile.mkdtemp(prefix="longrun-demo-"))
    try:
        shutil.copytree(docs_folder(), home / "workspace" / "docs")
        yield home
    finally:
        shutil.rmtree(pokes_folder(home), ignore_errors=True)
        if options.keep:
            _tell(console, f"Kept: `longrun dev --home {home}` brings it back")
        else:
            shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def _cancel_on_signals() -> Generator[None]:
    """The first signal unwinds what was begun; further ones change nothing, for the end takes seconds only."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    asked = asyncio.Event()

    def heard() -> None:
        if task is not None and not asked.is_set():
            asked.set()
            task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, heard)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _demonstrate(options: DemoOptions, console: Console, home: Path) -> int:
    began = time.monotonic()
    _tell(console, f"Starting Temporal, the gateway and a worker in {home} (logs: demo.log)")
    async with running(home, options.model, lambda text: _tell(console, text)) as stack:
        _tell(console, f"Ready after {time.monotonic() - began:.0f} s: API {stack.plan.api}, Web UI {stack.plan.ui}")
        keyboard = Keyboard(sys.stdin.fileno()) if sys.stdin.isatty() and console.is_terminal else None
        show = await _play(options, console, stack, keyboard)
        status = _conclude(console, show, time.monotonic() - began)
        if keyboard and show.run_id:
            await _look_around(console, keyboard)
    return status


async def _play(options: DemoOptions, console: Console, stack: Stack, keyboard: Keyboard | None) -> Show:
    client = await Client.connect(stack.plan.temporal, data_converter=pydantic_data_converter, lazy=True)
    with View(console) as view:
        async with open_api(stack.plan.api, lambda why: view.say(f"{why}; trying again", "yellow")) as api:
            reviewer = Reviewer(Reviews(client), view, keyboard, os_user())
            cues = SCRIPTED if options.model == MODEL else REAL
            show = Show(stack, api, view, reviewer, cues)
            try:
                await show.play(options.model)
            except (DemoError, ClientError, ReviewError, TemporalAwayError) as error:
                show.proofs.append(Proof(show.act, held=False, figures=str(error)))
            return show


def _conclude(console: Console, show: Show, seconds: float) -> int:
    """Print what was proved; the exit status."""
    console.print()
    for proof in show.proofs:
        mark, style = ("✓", "green") if proof.held else ("✗", "red")
        _tell(console, Text.assemble((f"{mark} {proof.name:<19} ", style), proof.figures))
    _tell(console, f"  Report   {show.report}\n  Web UI   {show.stack.web_ui(show.run_id)}")
    failed = [proof.name for proof in show.proofs if not proof.held]
    if failed:
        _tell(console, Text(f"NOT proved after {seconds:.0f} s: {', '.join(failed)}", "bold red"))
        return 1
    _tell(console, Text(f"All of it proved in {seconds:.0f} s.", "bold green"))
    return 0


async def _look_around(console: Console, keyboard: Keyboard) -> None:
    _tell(console, "Everything still runs: look at the report and the Web UI. Enter ends it.")
    keyboard.forget()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LOOK_AROUND):
            await keyboard.line()


def _tell(console: Console, text: str | Text) -> None:
    console.print(text if isinstance(text, Text) else Text(text), soft_wrap=True)
