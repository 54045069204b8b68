"""Workers as processes that may be killed, and a way to Temporal that may be held up or cut."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from activities.worker import READY
from store.settings import Settings
from tests.stage import until

_ROOT = Path(__file__).parents[2]
_BOOT = 40.0


@dataclass(frozen=True)
class WorkerProcess:
    """A worker of its own process, and the file that it writes its words to."""

    process: asyncio.subprocess.Process
    log: Path

    def said(self) -> str:
        """What it has written so far."""
        return self.log.read_text()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; its exit status."""
        async with asyncio.timeout(20):
            return await self.process.wait()


@asynccontextmanager
async def worker_process(
    settings: Settings, address: str, environ: Mapping[str, str], folder: Path = _ROOT
) -> AsyncGenerator[WorkerProcess]:
    """A worker, started in a folder, that is ready when the block begins and is no more when it has ended."""
    settings.home.mkdir(parents=True, exist_ok=True)
    log = settings.home / f"worker-{len(list(settings.home.glob('worker-*.log'))) + 1}.log"
    ours = {
        "LONGRUN_HOME": str(settings.home),
        "LONGRUN_TASK_QUEUE": settings.task_queue,
        "LONGRUN_TOOLS": "tests.activities.waiting_tools",
        "TEMPORAL_ADDRESS": address,
    }
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "activities.worker"),
            env={**os.environ, **ours, **environ},
            cwd=folder,
            stdout=output,
            stderr=output,
        )
    worker = WorkerProcess(process, log)

    async def ready() -> bool:
        assert process.returncode is None, worker.said()
        return READY in worker.said()

    try:
        await until(ready, f"a worker that writes to {log}", _BOOT)
        yield worker
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@dataclass
class Relay:
    """Carries bytes to a server and back. What it holds up it still delivers; what it cuts is lost."""

    target: str
    address: str = ""
    _flows: asyncio.Event = field(default_factory=asyncio.Event)
    _ends: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])
    _down: bool = False

    def __post_init__(self) -> None:
        self._flows.set()

    def hold(self) -> None:
        """Let nothing through any more."""
        self._flows.clear()

    def cut(self) -> None:
        """Break every connection, and take no new one."""
        self._down = True
        for end in self._ends:
            end.transport.abort()
        self._flows.set()

    def restore(self) -> None:
        """Take connections again."""
        self._down = False

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if self._down:
            writer.transport.abort()
            return
        host, _, port = self.target.rpartition(":")
        answers, there = await asyncio.open_connection(host, int(port))
        self._ends |= {writer, there}
        try:
            await asyncio.gather(self._pump(reader, there), self._pump(answers, writer))
        finally:
            self._ends -= {writer, there}

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                await self._flows.wait()
                sink.write(data)
                await sink.drain()
        sink.close()
        with suppress(ConnectionError):
            await sink.wait_closed()


@asynccontextmanager
async def relayed(target: str) -> AsyncGenerator[Relay]:
    """A relay on a port of its own."""
    relay = Relay(target)
    server = await asyncio.start_server(relay.carry, "127.0.0.1", 0)
    relay.address = "{}:{}".format(*server.sockets[0].getsockname())
    try:
        yield relay
    finally:
        server.close()
        relay.cut()
        await server.wait_closed()
