"""A Temporal server that soon finds a history too long."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.temporal_config import config_file, read_config
from gateway.temporal_find import TemporalFinder
from gateway.temporal_server import connect_when_up, ensure_search_attributes


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def impatient_temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a server that suggests to continue as new after 50 events."""
    found = TemporalFinder(os.environ, print).here()
    if found is None:
        pytest.skip("no Temporal server: `python -m gateway.temporal_server` fetches one")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    usual = read_config(config_file(Path(__file__).parent))
    dynamic = {**usual.dynamic_config, "limit.historyCount.suggestContinueAsNew": 50}
    config = usual.model_copy(update={"port": port, "dynamic_config": dynamic})
    home = tmp_path_factory.mktemp("impatient")
    with (home / "temporal.log").open("wb") as log:
        server = await asyncio.create_subprocess_exec(
            *config.command(found.binary, home, headless=True), stdout=log, stderr=log
        )
    try:
        async with asyncio.timeout(45):
            while (client := await connect_when_up({"target_host": config.address})) is None:
                assert server.returncode is None, (home / "temporal.log").read_text()
                await asyncio.sleep(0.1)
            await ensure_search_attributes(client, config.search_attributes)
        yield config.address
    finally:
        if server.returncode is None:
            server.terminate()
        await server.wait()
