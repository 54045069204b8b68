"""Temporal is killed in the middle of many runs: what is asked for meanwhile is accepted, and all of it comes true."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import pytest

from longrun.activities.providers.provider import ModelRequest
from longrun.client import AsyncClient, RetryPolicy
from tests.dev_server import temporal_process
from tests.gateway_process import worked
from tests.harness import until
from tests.logcheck import check_log, of_type, parsed
from tests.patience import PATIENCE
from tests.provider_fake import Gate, Turn, call, text, turn
from tests.running import Front
from tests.tools import TOOLS, held, noted

pytestmark = pytest.mark.server

logger = logging.getLogger(__name__)

UNAVAILABLE = 30.0 if os.environ.get("LONGRUN_TEST_LONG") else 2.0
"""Seconds that Temporal is not there."""
MIDDLE = {
    "tell": (30, "One went out."),
    "hold": (10, "tool.progress"),
    "pay": (10, "run.waiting"),
    "hang": (5, "I think"),
}
"""How many runs of each kind, and what shows that one is in the middle. Those that hang are to be cancelled."""
NEW = 50


@dataclass
class World:
    """What models say, and where they wait: ``mid_text`` is in the middle of a text, ``held`` in a tool."""

    mid_text: Gate = field(default_factory=Gate)
    held: Gate = field(default_factory=Gate)
    never: Gate = field(default_factory=Gate)

    def says(self, request: ModelRequest) -> Turn:
        """What comes, by the kind of run that the prompt names."""
        kind = request.messages[0].text
        if request.step > 1 or kind == "new":
            return turn("Done.")
        turns = {
            "tell": turn(text("One went out. ", self.mid_text, "Two came back.")),
            "hold": turn(call("hold", "hold")),
            "pay": turn(call(f"{request.run_id}-pay", "pay", {"amount": 1})),
            "hang": turn(text("I think ", self.never, "so.")),
        }
        return turns[kind]


@dataclass
class Readers:
    """One reader of each run, from its beginning, who comes back when the stream breaks."""

    client: AsyncClient
    seen: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    reading: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    def read(self, run_id: str) -> None:
        """Begin to read a run."""
        self.seen[run_id] = []
        self.reading.append(asyncio.create_task(self._read(run_id)))

    async def _read(self, run_id: str) -> None:
        async for line in self.client.stream_lines(run_id):
            self.seen[run_id].append(line.data)

    async def see(self, run_ids: list[str], content: str) -> None:
        """Wait until each of these runs' readers has seen this."""

        async def look() -> bool:
            return all(content in "".join(self.seen[run_id]) for run_id in run_ids)

        await until(look, f"all readers to see {content!r}", PATIENCE)


@dataclass(frozen=True)
class Crowd:
    """Runs of all kinds, each with a reader, and what they do when they are told to."""

    front: Front
    readers: Readers
    world: World
    runs: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    async def start(self, kind: str, number: int) -> None:
        """Start so many runs of a kind, each with a reader."""
        agent = {"model": "scripted/x", "tools": ["pay", "hold"]}
        runs = await asyncio.gather(*(self.front.start(agent, kind) for _ in range(number)))
        self.runs[kind] = [run["id"] for run in runs]
        for run in runs:
            self.readers.read(run["id"])

    async def see(self, kind: str, content: str) -> None:
        """Wait until the readers of a kind's runs have seen this."""
        await self.readers.see(self.runs[kind], content)

    async def come_to_the_middle(self) -> None:
        """Start runs of each kind, and wait until all of them are in the middle of something."""
        for kind, (number, content) in MIDDLE.items():
            await self.start(kind, number)
            await self.see(kind, content)

    async def go_on_without_temporal(self) -> None:
        """Start runs, decide, cancel: all of it is kept. Read what the models still say, and lists."""
        self.world.mid_text.open()
        self.world.held.open()
        await self.see("tell", "message.completed")
        await self.start("new", NEW)
        decision = {"decision": "approve", "by": "ann"}
        decisions = (self._say(f"/api/approvals/{run}-pay", {**decision, "run_id": run}) for run in self.runs["pay"])
        cancels = (self._say(f"/api/runs/{run}/cancel", {"by": "ann"}) for run in self.runs["hang"])
        await asyncio.gather(*decisions, *cancels)
        await self.see("new", "run.accepted")
        page = (await self.front.http.get("/api/runs", params={"limit": 200})).json()["runs"]
        assert {run["id"] for run in page} == set(self.readers.seen)
        assert {run["status"] for run in page if run["id"] in self.runs["new"]} == {"queued"}

    async def _say(self, path: str, body: dict[str, str]) -> None:
        response = await self.front.http.post(path, json=body)
        assert (response.status_code, response.json()["delivery"]) == (202, "accepted"), response.text

    async def check(self) -> None:
        """Check what each reader has seen of its run, which is over."""
        for run_id, lines in self.readers.seen.items():
            events = parsed(lines)
            check_log(events)
            assert events[-1].type == ("run.cancelled" if run_id in self.runs["hang"] else "run.completed")
            assert lines == [data for _, _, data in await self.front.frames(run_id, "?view=raw")]
        assert noted(self.front.settings.workspace_folder) == ["1"] * len(self.runs["pay"])
        for run_id in self.runs["pay"]:
            assert len(of_type(parsed(self.readers.seen[run_id]), "approval.decided")) == 1


@asynccontextmanager
async def crowd(temporal: str, home: Path) -> AsyncGenerator[Crowd]:
    """A gateway as a process, a worker, and readers who come back."""
    world, patience = World(), RetryPolicy(initial_interval=0.1, maximum_interval=1, stream_attempts=200)
    async with (
        worked(temporal, home, world.says, [*TOOLS, held(world.held)]) as (front, _),
        AsyncClient(front.base_url, retry=patience, on_interruption=logger.info) as client,
    ):
        readers = Readers(client)
        try:
            yield Crowd(front, readers, world)
        finally:
            for task in readers.reading:
                task.cancel()
            await asyncio.gather(*readers.reading, return_exceptions=True)


async def test_all_runs_go_on_when_temporal_is_killed_and_comes_back(tmp_path: Path) -> None:
    async with temporal_process(tmp_path) as temporal, crowd(temporal.address, tmp_path / "home") as runs:
        await runs.come_to_the_middle()
        await temporal.end()
        killed = monotonic()
        await runs.go_on_without_temporal()
        await asyncio.sleep(max(0.0, killed + UNAVAILABLE - monotonic()))  # how long it is unavailable is tested
        unavailable = monotonic() - killed
        await temporal.start()
        back = monotonic()
        await runs.see("hang", "run.cancelled")
        await runs.see("pay", "run.resumed")
        received = monotonic() - back
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*runs.readers.reading)
        over = monotonic() - back
        logger.info(
            "away %.1f s; then all were heard after %.1f s, and all over after %.1f s", unavailable, received, over
        )
        await runs.check()
