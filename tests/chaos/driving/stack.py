"""One system over one folder: Temporal, a gateway and workers, each a process that can be stopped, killed, replaced."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import httpx2
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from longrun.activities.worker import READY
from longrun.gateway.history.rebuilder import Rebuilder
from longrun.runtime.ids import new_id
from longrun.runtime.settings import Settings
from tests.build import Stores
from tests.chaos.providing import CountingProvider
from tests.dev_server import TemporalProcess, take_port, temporal_process
from tests.harness import until
from tests.nursery import Kind
from tests.patience import PATIENCE
from tests.processes import state
from tests.spawning import Child, Nursery

_OURS = ("LONGRUN_", "TEMPORAL_", "OPENAI_", "ANTHROPIC_")
"""What the surroundings say to the product is not passed on."""
_UNNAMED = (
    "SELECT 1 FROM attempts WHERE outcome IS NULL AND call_id = '' AND response_id IS NULL"
    " AND provider LIKE 'openai/%' LIMIT 1"
)
_ACTIVE = (
    "SELECT r.id, r.status, h.last_seq, t.active_run = r.id FROM runs AS r"
    " JOIN heads AS h ON h.run_id = r.id JOIN threads AS t ON t.id = r.thread_id WHERE r.ended_at IS NULL"
)


class ActiveRun(NamedTuple):
    """How a run that is not over stands in the store; ``first`` says that its thread works on it."""

    run_id: str
    status: str
    last_seq: int
    first: bool


@dataclass
class Stack:
    """The processes that there are now, and what tests need to look at them."""

    nursery: Nursery
    provider: CountingProvider
    temporal: TemporalProcess
    settings: Settings
    stores: Stores
    client: Client
    rebuilder: Rebuilder
    http: httpx2.AsyncClient
    gateway: Child | None = None
    workers: list[Child] = field(default_factory=list[Child])
    _births: int = 0

    @property
    def stop_file(self) -> Path:
        """Where a process says that it has stopped."""
        return self.settings.home / "stopped"

    async def start_worker(self, stop_at: str | None = None) -> Child:
        """Bring up one more worker; it is ready."""
        worker = await self._bring_up("worker", stop_at)
        self.workers.append(worker)

        async def ready() -> bool:
            assert worker.alive, worker.said()
            return worker.log.exists() and READY in worker.said()

        await until(ready, f"a worker that writes to {worker.log}", PATIENCE)
        return worker

    async def start_gateway(self, stop_at: str | None = None) -> Child:
        """Bring up the gateway; it answers."""
        gateway = self.gateway = await self._bring_up("gateway", stop_at)

        async def ready() -> bool:
            assert gateway.alive, gateway.said()
            try:
                return (await self.http.get("/api/health")).status_code == 200
            except httpx2.TransportError:
                return False

        await until(ready, f"a gateway that writes to {gateway.log}", PATIENCE)
        return gateway

    async def _bring_up(self, kind: Kind, stop_at: str | None) -> Child:
        self._births += 1
        settings = self.settings
        environ = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)} | {
            "LONGRUN_HOME": str(settings.home),
            "LONGRUN_PORT": str(settings.port),
            "LONGRUN_TASK_QUEUE": settings.task_queue,
            "LONGRUN_TOOLS": "tests.chaos.effect_tools",
            "LONGRUN_OPENAI_BACKGROUND": "true",
            "TEMPORAL_ADDRESS": self.temporal.address,
            "OPENAI_BASE_URL": self.provider.url,
            "OPENAI_API_KEY": "sk-test",
        }
        if stop_at:
            environ |= {"LONGRUN_STOP_AT": stop_at, "LONGRUN_STOP_FILE": str(self.stop_file)}
        return await self.nursery.bring_up(kind, environ, settings.home / f"{kind}-{self._births}.log")

    async def stopped(self, patience: float) -> Child | None:
        """Wait until a process has stopped itself; ``None`` if none did."""

        async def look() -> Child | None:
            said = self.stop_file.read_text() if self.stop_file.exists() else ""
            pids = [int(line.split("\t")[1]) for line in said.splitlines()]
            found = [child for child in self.children if pids and child.pid == pids[-1] and state(child.pid) == "T"]
            return found[0] if found else None

        try:
            return await until(look, "a process that stops", patience)
        except AssertionError:
            return None

    @property
    def children(self) -> list[Child]:
        """The gateway and the workers."""
        return [*self.workers, *([self.gateway] if self.gateway else [])]

    async def kill_workers(self) -> None:
        """Kill every worker."""
        workers, self.workers = self.workers, []
        await asyncio.gather(*(worker.kill() for worker in workers))

    async def kill_gateway(self) -> None:
        """Kill the gateway."""
        if self.gateway:
            await self.gateway.kill()

    def active_runs(self) -> list[ActiveRun]:
        """How the runs stand that are not over."""
        path = self.settings.home / "longrun.db"
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=20)) as database:
            return [ActiveRun(*row) for row in database.execute(_ACTIVE)]

    def unnamed(self) -> bool:
        """Whether an answer that could be taken up has been asked for, and has not told its name yet."""
        path = self.settings.home / "longrun.db"
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=20)) as database:
            return database.execute(_UNNAMED).fetchone() is not None


@asynccontextmanager
async def stacked(home: Path, nursery: Nursery, provider: CountingProvider) -> AsyncGenerator[Stack]:
    """A system whose gateway answers and whose one worker is ready when the block begins."""
    await asyncio.to_thread(home.mkdir, parents=True)
    settings = Settings(home=home, port=take_port(), task_queue=f"longrun-{new_id()}")
    every = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    http = httpx2.AsyncClient(base_url=settings.base_url, timeout=httpx2.Timeout(20, read=60), limits=every)
    async with temporal_process(home) as temporal, http:
        client = await Client.connect(temporal.address, data_converter=pydantic_data_converter)
        stores = Stores.over(settings.database)
        rebuilder = Rebuilder(client, stores.database, stores.runs, stores.log)
        stack = Stack(nursery, provider, temporal, settings, stores, client, rebuilder, http)
        try:
            await stack.start_gateway()
            await stack.start_worker()
            yield stack
        finally:
            await stack.kill_workers()
            await stack.kill_gateway()
            await stores.database.aclose()
