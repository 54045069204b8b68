"""What every test stands on: an environment that reaches no provider, and one real Temporal server for all."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.temporal_config import config_file, read_config
from gateway.temporal_find import TemporalFinder
from gateway.temporal_server import connect_when_up, ensure_retention, ensure_search_attributes

NOBODY = "http://127.0.0.1:9/v1"


@pytest.fixture(scope="session", autouse=True)
def _no_provider_by_accident() -> Iterator[None]:
    """No key, no settings and no server from the outside; base URLs that nobody answers."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            ours = name.startswith(("LONGRUN_", "TEMPORAL_")) and not name.startswith("LONGRUN_TEST_")
            if ours or name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
                patch.delenv(name)
        patch.setenv("OPENAI_BASE_URL", NOBODY)
        patch.setenv("ANTHROPIC_BASE_URL", NOBODY)
        patch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a Temporal dev server of our own, tuned as ``temporal-dev.yaml`` says."""
    found = TemporalFinder(os.environ, print).here()
    if found is None:
        pytest.skip("no Temporal server: `python -m gateway.temporal_server` fetches one")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    config = read_config(config_file(Path(__file__).parent)).model_copy(update={"port": port})
    home = tmp_path_factory.mktemp("temporal")
    with (home / "temporal.log").open("wb") as log:
        command = config.command(found.binary, home, headless=True)
        server = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    try:
        async with asyncio.timeout(45):
            while (client := await connect_when_up({"target_host": config.address})) is None:
                assert server.returncode is None, (home / "temporal.log").read_text()
                await asyncio.sleep(0.1)
            await ensure_retention(client, timedelta(days=30))
            await ensure_search_attributes(client, config.search_attributes)
        yield config.address
    finally:
        if server.returncode is None:
            server.terminate()
        await server.wait()


@pytest.fixture
def free_port() -> int:
    """A port of the loopback address that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
