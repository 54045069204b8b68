"""Workers and gateways as processes that are brought up quickly, stopped and killed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.driving.nursery import Birth, Kind
from tests.harness import until
from tests.processes import alive, state

_ROOT = Path(__file__).parents[3]
_OURS = ("LONGRUN_", "TEMPORAL_", "OPENAI_", "ANTHROPIC_")


@dataclass(frozen=True)
class Child:
    """A process, and the file that it writes its words to."""

    kind: Kind
    pid: int
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it is there."""
        return alive(self.pid)

    def said(self) -> str:
        """What it has written so far."""
        return self.log.read_text()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def kill(self) -> None:
        """Kill it, and wait until nothing is left of it: a thread that still ends would keep its port."""
        self.signal(signal.SIGKILL)

        async def gone() -> bool:
            return state(self.pid) is None

        await until(gone, f"the end of {self.kind} {self.pid}")


@dataclass(frozen=True)
class Nursery:
    """Brings up processes."""

    process: asyncio.subprocess.Process
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def bring_up(self, kind: Kind, environ: Mapping[str, str], log: Path) -> Child:
        """Start a process; what the surroundings say to the product is not passed on, only ``environ``."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        birth = Birth(kind=kind, environ={**inherited, **environ}, log=log)
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
        *(sys.executable, "-m", "tests.chaos.driving.nursery"),
        env={name: value for name, value in os.environ.items() if not name.startswith(_OURS)},
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
