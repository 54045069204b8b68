"""Workers and gateways as processes that are brought up quickly, stopped and killed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness import until
from tests.nursery import Birth, Kind, status_file
from tests.processes import alive

_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Child:
    """A process, and the file that it writes its output to."""

    kind: Kind
    pid: int
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return alive(self.pid)

    def said(self) -> str:
        """What it has written so far."""
        return self.log.read_text()

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended: its pid may be another's by now."""
        if self._status() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def ended(self) -> int:
        """Wait for its end, and until nothing is left of it: a thread that still ends would keep its port.

        Returns:
            Its exit status; that of a signal is negative.
        """

        async def status() -> str | None:
            return self._status()

        return int(await until(status, f"the end of {self.kind} {self.pid}"))

    def _status(self) -> str | None:
        file = status_file(self.log, self.pid)
        return file.read_text() if file.exists() else None

    async def kill(self) -> None:
        """Kill it."""
        self.signal(signal.SIGKILL)
        await self.ended()


@dataclass(frozen=True)
class Nursery:
    """Brings up processes."""

    process: asyncio.subprocess.Process
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def bring_up(self, kind: Kind, environ: Mapping[str, str], log: Path) -> Child:
        """Start a process with this environment."""
        birth = Birth(kind=kind, environ=dict(environ), log=log)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        async with self._turn:
            self.process.stdin.write(f"{birth.model_dump_json()}\n".encode())
            await self.process.stdin.drain()
            return Child(kind, int(await self.process.stdout.readline()), log)


@asynccontextmanager
async def nursing() -> AsyncGenerator[Nursery]:
    """A nursery, which ends with all that it has brought up."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.nursery"),
        cwd=_ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Nursery(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


class _Shared:
    """The one nursery of all tests, from the first time that one is needed."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._nursery: Nursery | None = None
        self._turn = asyncio.Lock()

    async def nursery(self) -> Nursery:
        """The nursery."""
        async with self._turn:
            if self._nursery is None:
                self._nursery = await self._stack.enter_async_context(nursing())
            return self._nursery

    async def end(self) -> None:
        """End it."""
        self._nursery = None
        await self._stack.aclose()


shared = _Shared()
