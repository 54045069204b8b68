"""One child process of ``longrun dev``: its start, its readiness, its output, its end."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from longrun.dev.temporal.config import SetupError

Probe = Callable[[], Awaitable[bool]]
Listener = Callable[[str, str], None]
"""Takes the name of a child process and one line that it printed, or that is about it."""

_POLL = 0.1
_TAIL_LINES = 15
_LONGEST_LINE = 65536
_PIPE_GRACE = 0.5


@dataclass(frozen=True)
class Recipe:
    """How to run one child process.

    It is ready when ``ready_line`` was in a line of its output and ``probe`` has returned true, as far as they are
    given. ``patience`` is how many seconds it may take to get ready, ``grace`` how many to end after SIGTERM.
    ``when_it_fails`` is a hint to print when it does not get ready.
    """

    name: str
    command: list[str]
    environ: Mapping[str, str]
    ready_line: str = ""
    probe: Probe | None = None
    patience: float = 60.0
    grace: float = 5.0
    when_it_fails: str = ""


class Watchdog:
    """Kills the process groups on its list when this process dies, by the other end of a pipe to a process of its own.

    That process is :mod:`longrun.dev.watchdog`.
    """

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process that outlives this one."""
        script = str(Path(__file__).with_name("watchdog.py"))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", script, stdin=asyncio.subprocess.PIPE, start_new_session=True
        )

    def watch(self, pid: int) -> None:
        """Add a process group to the list."""
        self._write(f"+{pid}\n")

    def forget(self, pid: int) -> None:
        """Remove a process group from the list, before its number can be given to another one."""
        self._write(f"-{pid}\n")

    async def close(self) -> None:
        """End the watching process, which kills the groups that are still on the list."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await self._process.wait()

    def _write(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(line.encode())


@dataclass
class _Running:
    """One operating system process, from its start to its end; ``output`` is the pipe that its output comes from."""

    process: asyncio.subprocess.Process
    output: int
    announced: asyncio.Event = field(default_factory=asyncio.Event)
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))


class ChildProcess:
    """A child process that may be started again; in a session of its own, so that Ctrl-C does not reach it."""

    def __init__(self, recipe: Recipe, listener: Listener, watchdog: Watchdog) -> None:
        self._recipe = recipe
        self._listener = listener
        self._watchdog = watchdog
        self._running: _Running | None = None
        self._forwarding: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Its name in the output of ``longrun dev``."""
        return self._recipe.name

    @property
    def pid(self) -> int:
        """The process id, 0 while no process runs."""
        return self._running.process.pid if self._running else 0

    async def start(self) -> None:
        """Start the process and forward its output, without waiting until it is ready.

        Raises:
            SetupError: The program cannot be run.
        """
        # A pipe of our own: asyncio's wait() for a process would last as long as anyone holds one that it made.
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._recipe.command,
                env=self._recipe.environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            os.close(reading)
            raise SetupError(f"{self.name} cannot be started: {error}") from error
        finally:
            os.close(writing)
        self._watchdog.watch(process.pid)
        self._running = running = _Running(process, reading)
        self._forwarding = asyncio.create_task(self._forward(running))

    async def ready(self) -> None:
        """Wait until it is ready.

        Raises:
            SetupError: It ended instead, or took too long; the message has its last lines.
        """
        if self._running is None:
            raise SetupError(f"{self.name} does not run")
        running = self._running
        tasks = {asyncio.create_task(self._usable(running)), asyncio.create_task(running.process.wait())}
        try:
            done, _ = await asyncio.wait(tasks, timeout=self._recipe.patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        if running.process.returncode is not None:
            await self._drain()
            raise SetupError(self._report(running, exit_text(running.process.returncode)))
        if not done:
            raise SetupError(self._report(running, f"was not ready after {self._recipe.patience:g} s"))
        done.pop().result()

    async def ended(self) -> str:
        """Wait for the end of the process; how it ended. One that was never started has ended already."""
        if self._running is None:
            return "does not run"
        status = await self._running.process.wait()
        await self._clear(self._running)
        return exit_text(status)

    async def stop(self) -> None:
        """End it by SIGTERM, and after the grace by SIGKILL to its process group. Does nothing when it does not run."""
        if self._running is None:
            return
        running = self._running
        with contextlib.suppress(ProcessLookupError):
            running.process.terminate()
        try:
            await asyncio.wait_for(running.process.wait(), self._recipe.grace)
        except TimeoutError:
            self._listener(self.name, f"did not end within {self._recipe.grace:g} s: killed")
        await self._clear(running)

    def kill(self) -> None:
        """Kill its process group by SIGKILL."""
        if self._running is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter on macOS, of a dead group
                os.killpg(self._running.process.pid, signal.SIGKILL)

    async def _clear(self, running: _Running) -> None:
        """Kill what is left of the process group, and read the rest of the output."""
        self.kill()
        await running.process.wait()
        self._watchdog.forget(running.process.pid)
        await self._drain()
        self._running = None

    async def _usable(self, running: _Running) -> None:
        if self._recipe.ready_line:
            await running.announced.wait()
        while self._recipe.probe is not None:
            if await self._recipe.probe():
                return
            await asyncio.sleep(_POLL)

    async def _forward(self, running: _Running) -> None:
        lines = asyncio.StreamReader()
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(running.output, "rb", buffering=0)
        )
        try:
            # Not readline(): it refuses a line that is longer than the reader's buffer.
            pending = b""
            while chunk := await lines.read(_LONGEST_LINE):
                *whole, pending = (pending + chunk).split(b"\n")
                if len(pending) > _LONGEST_LINE:
                    whole, pending = [*whole, pending], b""
                for line in whole:
                    self._take_line(running, line)
            if pending:
                self._take_line(running, pending)
        finally:
            pipe.close()

    def _take_line(self, running: _Running, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        running.tail.append(text)
        if self._recipe.ready_line and self._recipe.ready_line in text:
            running.announced.set()
        self._listener(self.name, text)

    async def _drain(self) -> None:
        # A process that has changed its group may hold the pipe open for ever.
        if self._forwarding is not None:
            await asyncio.wait({self._forwarding}, timeout=_PIPE_GRACE)
            self._forwarding.cancel()

    def _report(self, running: _Running, what: str) -> str:
        tail = "".join(f"\n  | {line}" for line in running.tail)
        hint = f"\n{self._recipe.when_it_fails}" if self._recipe.when_it_fails else ""
        return f"{self.name} {what}{tail and '; its last lines:'}{tail}{hint}"


def exit_text(status: int) -> str:
    """How a process ended, for a person."""
    return f"ended with status {status}" if status >= 0 else f"was killed by {signal.Signals(-status).name}"
