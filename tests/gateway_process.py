"""A gateway as a process of its own, which can be ended and started again at the same address."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from longrun.activities.providers.provider import ModelRequest
from longrun.activities.toolbox.registry import Tool, Toolbox
from longrun.runtime.ids import new_id
from longrun.runtime.settings import Settings
from tests.dev_server import take_port
from tests.patience import PATIENCE
from tests.provider_fake import FakeCatalog, FakeProvider, Turn
from tests.running import NO_TEMPORAL, Front, working
from tests.spawning import Child, shared


@dataclass
class GatewayProcess:
    """A gateway over a home: what it is started with, and its process while it runs."""

    settings: Settings
    temporal: str
    process: Child | None = None

    @property
    def url(self) -> str:
        """Where it answers, in each of its lives."""
        return self.settings.base_url

    async def start(self) -> None:
        """Start it and wait until it answers."""
        home = self.settings.home
        home.mkdir(parents=True, exist_ok=True)
        own = {
            "LONGRUN_HOME": str(home),
            "LONGRUN_PORT": str(self.settings.port),
            "LONGRUN_TASK_QUEUE": self.settings.task_queue,
            "TEMPORAL_ADDRESS": self.temporal,
        }
        nursery = await shared.nursery()
        self.process = await nursery.bring_up("gateway", {**os.environ, **own}, home / "gateway.log")
        await self._until_healthy(self.process)

    async def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End it by a signal; its exit status."""
        assert self.process is not None
        self.process.signal(number)
        return await self.process.ended()

    async def _until_healthy(self, process: Child) -> None:
        async with asyncio.timeout(PATIENCE), httpx2.AsyncClient(base_url=self.url) as http:
            while process.alive:
                with contextlib.suppress(httpx2.TransportError):
                    if (await http.get("/api/health")).status_code == 200:
                        return
                await asyncio.sleep(0.02)
        pytest.fail(process.said())


@asynccontextmanager
async def gateway_process(home: Path, temporal: str = NO_TEMPORAL) -> AsyncGenerator[GatewayProcess]:
    """A gateway that answers when the block begins, on a task queue of its own."""
    settings = Settings(home=home, port=take_port(), task_queue=f"longrun-{new_id()}")
    gateway = GatewayProcess(settings, temporal)
    try:
        await gateway.start()
        yield gateway
    finally:
        if gateway.process is not None:
            await gateway.end()


@asynccontextmanager
async def fronted(temporal: str, home: Path) -> AsyncGenerator[tuple[Front, GatewayProcess]]:
    """A gateway as a process, and what asks it."""
    async with (
        gateway_process(home, temporal) as gateway,
        httpx2.AsyncClient(base_url=gateway.url, timeout=PATIENCE) as http,
    ):
        yield Front(gateway.url, http, gateway.settings), gateway


@asynccontextmanager
async def worked(
    temporal: str, home: Path, says: Callable[[ModelRequest], Turn], tools: Sequence[Tool] = ()
) -> AsyncGenerator[tuple[Front, GatewayProcess]]:
    """A gateway as a process, and a worker in this one whose models answer what ``says`` says."""
    async with (
        fronted(temporal, home) as (front, gateway),
        working(gateway.settings, temporal, FakeCatalog(FakeProvider(says)), Toolbox(tools)),
    ):
        yield front, gateway
