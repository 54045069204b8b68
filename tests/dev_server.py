"""A Temporal dev server of our own, tuned as ``temporal-dev.yaml`` says."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.temporal.config import config_file, read_config
from gateway.temporal.find import Found, TemporalFinder
from gateway.temporal.server import connect_when_up, ensure_retention, ensure_search_attributes

IMPATIENT = {"limit.historyCount.suggestContinueAsNew": 50}
"""Suggests to continue a run as new after 50 events."""


def take_port() -> int:
    """A port of the loopback address that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def found() -> Found:
    """The server's program; where there is none, the test is left out, or fails if LONGRUN_TEST_ALL is set."""
    program = TemporalFinder(os.environ, print).here()
    if program is None:
        leave_out = pytest.fail if os.environ.get("LONGRUN_TEST_ALL") else pytest.skip
        leave_out("no Temporal server: `python -m gateway.temporal.server` fetches one")
    return program


@asynccontextmanager
async def dev_server(home: Path, ui_port: int | None = None, **dynamic: float) -> AsyncGenerator[str]:
    """The address of a server with its files in ``home``.

    Args:
        home: A folder.
        ui_port: Where its Web UI answers; without it there is none.
        dynamic: Dynamic configuration over the file's.
    """
    usual = read_config(config_file(Path(__file__).parent))
    own = {"port": take_port(), "ui_port": ui_port, "dynamic_config": {**usual.dynamic_config, **dynamic}}
    config = usual.model_copy(update=own)
    command = config.command(found().binary, home, headless=ui_port is None)
    with (home / "temporal.log").open("wb") as log:
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
