"""Workflows that are ended behind our back, by Temporal's command line: each reader sees the end of its run."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import monotonic

import pytest

from longrun.activities.providers.provider import ModelRequest
from longrun.workflows.contract.events import Event, RunFailed
from tests.dev_server import found
from tests.logcheck import check_settled, parsed
from tests.provider_fake import Gate, Turn, call, text, turn
from tests.running import Front, running
from tests.tools import TOOLS

pytestmark = pytest.mark.server

logger = logging.getLogger(__name__)

RUNS = 20
BUSY = {"talk": "running", "pay": "waiting"}
"""How a run stands that is in the middle of what the prompt says."""


@dataclass
class Reader:
    """Reads a run to its end; when it saw that."""

    front: Front
    run_id: str
    lines: list[str] = field(default_factory=list[str])
    ended: float = 0.0

    async def read(self) -> None:
        """Read all there is."""
        self.lines = [data for _, _, data in await self.front.frames(self.run_id)]
        self.ended = monotonic()

    @property
    def events(self) -> list[Event]:
        """What it has read."""
        return parsed(self.lines)


async def temporal_says(address: str, *arguments: str) -> None:
    """Run Temporal's command line."""
    process = await asyncio.create_subprocess_exec(
        *(found().binary, *arguments, "--address", address),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output


@asynccontextmanager
async def reading(front: Front, run_ids: list[str]) -> AsyncGenerator[list[Reader]]:
    """A reader of each run, who has come to its end when the block is over."""
    readers = [Reader(front, run_id) for run_id in run_ids]
    tasks = [asyncio.create_task(reader.read()) for reader in readers]
    yield readers
    await asyncio.gather(*tasks)


class Model:
    """Asks for an approval, or stays in the middle of a sentence, as the prompt says."""

    def __init__(self) -> None:
        self.never = Gate()

    def says(self, request: ModelRequest) -> Turn:
        """What comes."""
        if request.messages[0].text == "talk":
            return turn(text("I think ", self.never, "so."))
        return turn(call("c1", "pay"))


async def test_readers_see_the_end_of_runs_that_were_terminated(temporal: str, tmp_path: Path) -> None:
    model = Model()
    async with running(temporal, tmp_path, says=model.says, tools=TOOLS) as front:
        agent = {"model": "scripted/x", "tools": ["pay"]}
        kinds = ["talk", "pay"] * (RUNS // 2)
        run_ids = [(await front.start(agent, kind))["id"] for kind in kinds]
        for run_id, kind in zip(run_ids, kinds, strict=True):
            await front.until(run_id, lambda run, kind=kind: run["status"] == BUSY[kind])
        async with reading(front, run_ids) as readers:
            terminated: dict[str, float] = {}
            for run_id in run_ids:
                await temporal_says(temporal, "workflow", "terminate", "-w", run_id, "--reason", "seen enough")
                terminated[run_id] = monotonic()
        model.never.open()
        for reader in readers:
            check_settled(reader.events)
            last = reader.events[-1]
            assert isinstance(last, RunFailed)
            assert last.stop_reason == "terminated"
            assert "seen enough" in last.model_dump_json()
        delays = sorted(reader.ended - terminated[reader.run_id] for reader in readers)
        logger.info("ends were seen after %.2f s (half of them), %.2f s (all)", median(delays), delays[-1])
