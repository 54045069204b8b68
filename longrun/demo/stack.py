"""Everything that longrun consists of, started for the demo in a folder of its own and ended with it."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from longrun.dev.child import ChildProcess, Listener, Watchdog
from longrun.dev.command import only_one
from longrun.dev.plan import DevOptions, Plan, make_plan, start_order
from longrun.dev.supervisor import Supervisor
from longrun.dev.temporal.find import TemporalFinder
from longrun.runtime.settings import Settings

_GRACE = 2.0
"""Seconds for a child process to end: nothing that it could still write is kept."""


@dataclass(frozen=True)
class Stack:
    """What runs; ``worker`` is the child process that may be killed."""

    plan: Plan
    worker: ChildProcess

    @property
    def workspace(self) -> Path:
        """The folder that the agent's tools work in."""
        return self.plan.home / "workspace"

    @property
    def database(self) -> Path:
        """The store's file."""
        return self.plan.home / "longrun.db"

    def web_ui(self, run_id: str) -> str:
        """Where Temporal shows the run."""
        return f"{self.plan.ui}/namespaces/default/workflows/{run_id}"

    def kill_worker(self) -> int:
        """Kill the worker by SIGKILL; its process id."""
        pid = self.worker.pid
        os.kill(pid, signal.SIGKILL)
        return pid


def surroundings(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """The environment without what would lead to another server, another store or another folder than the demo's."""
    kept = {name: value for name, value in environ.items() if not name.startswith("TEMPORAL_")}
    # Set, not removed: what is not set would be taken from .env.
    own = {"DATABASE_URL": "", "TASK_QUEUE": "longrun", "TOOLS": "", "URL": "", "WORKSPACE": str(home / "workspace")}
    ours = {f"LONGRUN_{name}": value for name, value in own.items()}
    return {**kept, **ours, "TEMPORAL_CONFIG_FILE": os.devnull}


@asynccontextmanager
async def running(home: Path, model: str, say: Callable[[str], None]) -> AsyncGenerator[Stack]:
    """Run Temporal, the gateway and a worker over a folder, on free ports; their logs go to ``demo.log`` in it.

    Raises:
        SetupError: Something cannot be started; no child process runs any more.
    """
    environ = surroundings(os.environ, home)
    found = await TemporalFinder(environ, say).find()
    plan = await make_plan(DevOptions(home, "127.0.0.1", 0, 0, 0, model), found, home)
    with only_one(home, plan.api, plan.temporal), _log_file(home / "demo.log") as log:
        watchdog = Watchdog()
        await watchdog.start()
        try:
            async with _kept_running(_groups(plan, environ, _listen_to(log), watchdog), _listen_to(log)) as worker:
                yield Stack(plan, worker)
        finally:
            await watchdog.close()


@contextmanager
def _log_file(path: Path) -> Generator[TextIO]:
    with path.open("a", encoding="utf-8", buffering=1) as log:
        yield log


def _listen_to(log: TextIO) -> Listener:
    def listen(name: str, text: str) -> None:
        log.write(f"{name:>9} | {text}\n")

    return listen


def _groups(plan: Plan, environ: Mapping[str, str], listener: Listener, watchdog: Watchdog) -> list[list[ChildProcess]]:
    order = [[replace(recipe, grace=_GRACE) for recipe in recipes] for recipes in start_order(plan, environ)]
    return [[ChildProcess(recipe, listener, watchdog) for recipe in recipes] for recipes in order]


@asynccontextmanager
async def _kept_running(groups: list[list[ChildProcess]], listener: Listener) -> AsyncGenerator[ChildProcess]:
    """The worker, once all are ready."""
    ready, stop = asyncio.Event(), asyncio.Event()
    supervised = asyncio.create_task(Supervisor(groups, listener).run(ready.set, stop))
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait({supervised, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if ready.is_set():
            yield groups[-1][0]
    finally:
        waiting.cancel()
        stop.set()
        await supervised


def notify_folder(home: Path) -> Path:
    """The folder of sockets that the demo's processes make outside of its own folder."""
    return Settings.model_construct(home=home).notify_folder
