"""The store is locked, or its file cannot be read: nothing is written by halves, nothing is lost, and all goes on."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from longrun.activities.providers.provider import ModelRequest
from longrun.client import AsyncClient, RetryPolicy
from tests.harness import until
from tests.logcheck import check_log, parsed
from tests.patience import PATIENCE
from tests.provider_fake import Gate, Turn, call, text, turn
from tests.running import Front, running
from tests.tools import TOOLS

pytestmark = pytest.mark.server

AGENT = {"model": "scripted/x", "tools": ["look"]}


@dataclass
class Talk:
    """A run that is in the middle of a sentence, and who reads it."""

    front: Front
    run_id: str
    gate: Gate
    seen: list[str] = field(default_factory=list[str])

    @property
    def database(self) -> Path:
        """The store's file."""
        return self.front.settings.home / "longrun.db"

    async def read(self) -> None:
        """Read to the end."""
        patience = RetryPolicy(initial_interval=0.05, maximum_interval=0.2, stream_attempts=400)
        async with AsyncClient(self.front.base_url, retry=patience) as client:
            async for line in client.stream_lines(self.run_id):
                self.seen.append(line.data)

    async def received(self, content: str) -> None:
        """Wait until this has been read."""

        async def look() -> bool:
            return content in "".join(self.seen)

        await until(look, f"{content!r} to be read")

    async def refused(self, *paths: str) -> None:
        """Check that nothing is accepted now, and that the caller is told when to come back."""
        requests = (self.front.http.get(path) for path in paths)
        start = self.front.http.post("/api/runs", json={"agent": AGENT, "input": "no"})
        for answer in await asyncio.gather(start, *requests):
            assert answer.status_code == 503
            assert answer.json()["detail"] == "the store does not answer; try again"
            assert int(answer.headers["retry-after"]) > 0


@asynccontextmanager
async def talk(temporal: str, folder: Path) -> AsyncGenerator[Talk]:
    """A run in the middle; when the block ends it goes on to its end, and all is as if nothing had been."""
    gate = Gate()

    def says(request: ModelRequest) -> Turn:
        if request.step == 1:
            return turn(text("Let me ", gate, "look."), call("c1", "look", {"what": "it"}))
        return turn("Done.")

    async with running(temporal, folder, says=says, tools=TOOLS) as front:
        talking = Talk(front, (await front.start(AGENT))["id"], gate)
        reading = asyncio.create_task(talking.read())
        await talking.received("Let me ")
        yield talking
        run = await front.ended(talking.run_id)
        assert (run["status"], run["output"]) == ("completed", "Done.")
        async with asyncio.timeout(PATIENCE):
            await reading
        check_log(parsed(talking.seen))
        runs = (await front.http.get("/api/runs")).json()["runs"]
        assert [run["id"] for run in runs] == [talking.run_id]
        assert (await front.start(AGENT))["status"] == "queued"


@contextmanager
def locked(database: Path) -> Generator[None]:
    """Another process is in the middle of a transaction that writes."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def unreadable(database: Path) -> Generator[None]:
    """What is in the place of the file cannot be opened."""
    aside = database.with_suffix(".aside")
    database.rename(aside)
    database.mkdir()
    yield
    database.rmdir()
    aside.rename(database)


async def test_while_another_process_holds_the_lock_nothing_is_accepted_and_runs_wait(
    temporal: str, tmp_path: Path
) -> None:
    async with talk(temporal, tmp_path) as talking:
        with locked(talking.database):
            talking.gate.open()
            await talking.refused()  # after the ten seconds that a write waits for the lock
            assert (await talking.front.run(talking.run_id))["status"] == "running"
            assert (await talking.front.http.get("/api/runs")).status_code == 200


async def test_while_the_file_cannot_be_read_nothing_is_answered_and_runs_wait(temporal: str, tmp_path: Path) -> None:
    async with talk(temporal, tmp_path) as talking:
        run = f"/api/runs/{talking.run_id}"
        with unreadable(talking.database):
            talking.gate.open()
            await talking.refused("/api/runs", run, f"{run}/events", f"{run}/stream", "/api/approvals")
            ready = await talking.front.http.get("/api/ready")
            assert (ready.status_code, ready.json()["store"]) == (503, "unavailable")
