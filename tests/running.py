"""A gateway, and with Temporal a whole system, for tests that go through the front door."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from temporalio.client import Client
from typing_extensions import override

from longrun.activities.model import Catalog
from longrun.activities.providers.catalog import ProviderCatalog
from longrun.activities.providers.provider import ModelRequest
from longrun.activities.providers.settings import ProviderSettings
from longrun.activities.toolbox.registry import Tool, Toolbox
from longrun.activities.worker import Process
from longrun.gateway.app import create_app
from longrun.gateway.serve import http_options
from longrun.runtime.ids import new_id
from longrun.runtime.settings import Settings
from longrun.runtime.temporal import temporal_connection
from tests.patience import PATIENCE
from tests.provider_fake import FakeCatalog, FakeProvider, Turn

NO_TEMPORAL = "127.0.0.1:9"
"""An address that nobody answers."""


class _Server(uvicorn.Server):
    """A server that leaves the process's signals alone."""

    @override
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@dataclass(frozen=True)
class Front:
    """A gateway on a port of its own, and a client of it."""

    base_url: str
    http: httpx2.AsyncClient
    settings: Settings

    async def start(self, agent: str | Mapping[str, Any], text: str = "go", **more: object) -> dict[str, Any]:
        """Start a run; the run as it was accepted."""
        response = await self.http.post("/api/runs", json={"agent": agent, "input": text, **more})
        assert response.status_code == 201, response.text
        return response.json()

    async def run(self, run_id: str) -> dict[str, Any]:
        """A run as it stands."""
        response = await self.http.get(f"/api/runs/{run_id}")
        assert response.status_code == 200, response.text
        return response.json()

    async def until(self, run_id: str, met: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until a run is as it should be; fail with what it was last."""
        run: dict[str, Any] = {}
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    run = await self.run(run_id)
                    if met(run):
                        return run
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pytest.fail(f"the run stayed as it was: {run}")

    async def ended(self, run_id: str) -> dict[str, Any]:
        """Wait until a run is over."""
        return await self.until(run_id, lambda run: run["ended_at"] is not None)

    async def waiting(self, run_id: str) -> dict[str, Any]:
        """Wait until a run waits for a person."""
        return await self.until(run_id, lambda run: run["status"] == "waiting")

    async def frames(self, run_id: str, query: str = "", **headers: str) -> list[tuple[int, str, str]]:
        """A run's stream to its end: (id, event, data) of each frame."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.stream("GET", f"/api/runs/{run_id}/stream{query}", headers=named) as response:
            assert response.status_code == 200, await response.aread()
            return [(int(sse.id), sse.event, sse.data) async for sse in httpx2.EventSource(response)]


def _listening() -> socket.socket:
    """A socket on a free port. Its protocol is named, else asyncio does not switch Nagle's delay off: 40 ms each."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    return listening


@contextmanager
def environment(**values: str) -> Generator[None]:
    """Variables while something starts; not longer, for fixtures end in any order and would restore the wrong ones."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        yield


@asynccontextmanager
async def serving(settings: Settings, temporal_address: str = NO_TEMPORAL) -> AsyncGenerator[Front]:
    """A gateway on a free port, without a worker."""
    with _listening() as listening:
        base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(
            create_app(settings),
            lifespan="on",
            log_config=None,
            **http_options(settings),
        )
        server = _Server(config)
        served = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            with environment(TEMPORAL_ADDRESS=temporal_address):
                async with asyncio.timeout(PATIENCE):
                    while not server.started:
                        assert not served.done(), served.exception()
                        await asyncio.sleep(0.01)
            headers = {"Authorization": f"Bearer {settings.own_key}"} if settings.own_key else {}
            async with httpx2.AsyncClient(base_url=base_url, timeout=PATIENCE, headers=headers) as http:
                yield Front(base_url, http, settings)
        finally:
            server.should_exit = True
            await served


@asynccontextmanager
async def working(
    settings: Settings, temporal_address: str, catalog: Catalog | None = None, toolbox: Toolbox | None = None
) -> AsyncGenerator[None]:
    """A worker in this process; ready when the block begins."""
    with environment(TEMPORAL_ADDRESS=temporal_address):
        client = await Client.connect(**temporal_connection())
    models = catalog or ProviderCatalog(ProviderSettings())
    stop = asyncio.Event()
    async with aclosing(Process(settings, client, models, toolbox)) as process:
        served = asyncio.create_task(process.serve(stop))
        try:
            yield
        finally:
            stop.set()
            await served


@asynccontextmanager
async def running(
    temporal_address: str,
    folder: Path,
    *,
    scripts: Mapping[str, str] | None = None,
    says: Callable[[ModelRequest], Turn] | None = None,
    tools: Sequence[Tool] = (),
) -> AsyncGenerator[Front]:
    """A gateway and a worker over one folder, on a task queue of their own.

    Args:
        temporal_address: What the ``temporal`` fixture gives.
        folder: A temporary folder.
        scripts: For ``scripted/NAME``, the YAML of each name; all models are the real ones then, and all tools ours.
        says: In their place: what every model answers.
        tools: With ``says``: the tools that there are.
    """
    settings = Settings(home=folder / "home", task_queue=f"longrun-{new_id()}")
    scripts_folder = folder / "scripts"
    scripts_folder.mkdir()
    for name, script in (scripts or {}).items():
        (scripts_folder / f"{name}.yaml").write_text(script)
    with environment(LONGRUN_SCRIPTS=str(scripts_folder)):
        catalog = FakeCatalog(FakeProvider(says)) if says else ProviderCatalog(ProviderSettings())
    toolbox = Toolbox(tools) if says else None
    async with (
        serving(settings, temporal_address) as front,
        working(settings, temporal_address, catalog, toolbox),
    ):
        yield front
