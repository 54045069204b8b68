"""One child process of ``longrun dev``: started, found ready, listened to, stopped."""

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
"""Is told the name of a part and one line about or from it."""

_POLL = 0.1
_TAIL_LINES = 15
_LONGEST_LINE = 65536
_PIPE_GRACE = 0.5


@dataclass(frozen=True)
class Recipe:
    """How one part is run.

    Ready means: ``ready_line`` was part of a line of its output, and ``probe`` said yes; what is not given counts as
    met. ``patience`` is how many seconds it may take to get ready, ``grace`` how many to end after SIGTERM.
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
    """The other end of :mod:`longrun.dev.watchdog`'s pipe: what is watched here dies with this process."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process that waits for this one's end."""
        script = str(Path(__file__).with_name("watchdog.py"))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", script, stdin=asyncio.subprocess.PIPE, start_new_session=True
        )

    def watch(self, pid: int) -> None:
        """Put a process group on the list."""
        self._write(f"+{pid}\n")

    def forget(self, pid: int) -> None:
        """Take a process group off the list, before its number can be given to another."""
        self._write(f"-{pid}\n")

    async def close(self) -> None:
        """End the process; what is still watched is killed."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await self._process.wait()

    def _write(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(line.encode())


@dataclass
class _Life:
    """One process of a part, from its start to its end; ``output`` is where its output is read."""

    process: asyncio.subprocess.Process
    output: int
    announced: asyncio.Event = field(default_factory=asyncio.Event)
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))


class ChildProcess:
    """A child process in a session of its own, so that Ctrl-C at the terminal reaches it through us alone."""

    def __init__(self, recipe: Recipe, listener: Listener, watchdog: Watchdog) -> None:
        self._recipe = recipe
        self._listener = listener
        self._watchdog = watchdog
        self._life: _Life | None = None
        self._forwarding: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """What it is called in the log."""
        return self._recipe.name

    @property
    def pid(self) -> int:
        """The running process's id, 0 when there is none."""
        return self._life.process.pid if self._life else 0

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
        self._life = life = _Life(process, reading)
        self._forwarding = asyncio.create_task(self._forward(life))

    async def ready(self) -> None:
        """Wait until it can be used.

        Raises:
            SetupError: It ended instead, or took too long; with its last lines.
        """
        if self._life is None:
            raise SetupError(f"{self.name} does not run")
        life = self._life
        ways = {asyncio.create_task(self._usable(life)), asyncio.create_task(life.process.wait())}
        try:
            done, _ = await asyncio.wait(ways, timeout=self._recipe.patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
        if life.process.returncode is not None:
            await self._drain()
            raise SetupError(self._why(life, ending(life.process.returncode)))
        if not done:
            raise SetupError(self._why(life, f"was not ready after {self._recipe.patience:g} s"))
        done.pop().result()

    async def ended(self) -> str:
        """Wait for the process's end; says how it ended. A part that was never started has ended already."""
        if self._life is None:
            return "does not run"
        status = await self._life.process.wait()
        await self._clear(self._life)
        return ending(status)

    async def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL to its whole group after the grace. Harmless when it does not run."""
        if self._life is None:
            return
        life = self._life
        with contextlib.suppress(ProcessLookupError):
            life.process.terminate()
        try:
            await asyncio.wait_for(life.process.wait(), self._recipe.grace)
        except TimeoutError:
            self._listener(self.name, f"did not end within {self._recipe.grace:g} s: killed")
        await self._clear(life)

    def kill(self) -> None:
        """Kill it and all that it started, now."""
        if self._life is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter on macOS, of a dead group
                os.killpg(self._life.process.pid, signal.SIGKILL)

    async def _clear(self, life: _Life) -> None:
        """Leave nothing of a life behind: not the processes that it started either."""
        self.kill()
        await life.process.wait()
        self._watchdog.forget(life.process.pid)
        await self._drain()
        self._life = None

    async def _usable(self, life: _Life) -> None:
        if self._recipe.ready_line:
            await life.announced.wait()
        while self._recipe.probe is not None:
            if await self._recipe.probe():
                return
            await asyncio.sleep(_POLL)

    async def _forward(self, life: _Life) -> None:
        lines = asyncio.StreamReader()
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(life.output, "rb", buffering=0)
        )
        try:
            # Not readline(): it refuses a line that is longer than the reader's buffer.
            pending = b""
            while chunk := await lines.read(_LONGEST_LINE):
                *whole, pending = (pending + chunk).split(b"\n")
                if len(pending) > _LONGEST_LINE:
                    whole, pending = [*whole, pending], b""
                for line in whole:
                    self._hear(life, line)
            if pending:
                self._hear(life, pending)
        finally:
            pipe.close()

    def _hear(self, life: _Life, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        life.tail.append(text)
        if self._recipe.ready_line and self._recipe.ready_line in text:
            life.announced.set()
        self._listener(self.name, text)

    async def _drain(self) -> None:
        # A process that left the group may hold the pipe open for ever.
        if self._forwarding is not None:
            await asyncio.wait({self._forwarding}, timeout=_PIPE_GRACE)
            self._forwarding.cancel()

    def _why(self, life: _Life, what: str) -> str:
        tail = "".join(f"\n  | {line}" for line in life.tail)
        hint = f"\n{self._recipe.when_it_fails}" if self._recipe.when_it_fails else ""
        return f"{self.name} {what}{tail and '; its last lines:'}{tail}{hint}"


def ending(status: int) -> str:
    """How a process ended, in words."""
    return f"ended with status {status}" if status >= 0 else f"was killed by {signal.Signals(-status).name}"
