"""Everything is killed while many runs wait for people: all of them can be decided when it is back."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from tests.activities.killing import worker_process
from tests.dev_server import TemporalProcess, temporal_process
from tests.gateway_process import GatewayProcess, gateway_process
from tests.harness import until
from tests.logcheck import check_log, of_type, parsed
from tests.patience import PATIENCE
from tests.running import Front
from tests.spawning import Child

pytestmark = pytest.mark.server

SCRIPT = """
turns:
  - tool_calls: [{name: write_file, arguments: {path: "{run_id}.txt", content: one}}]
  - text: "{last_result}"
"""
WAITING, REVIEWED = (50, 5) if os.environ.get("LONGRUN_TEST_LONG") else (20, 2)
"""How many runs wait, and how many of them are decided at the command line."""
DAY = 24 * 3600
SHORT = 6
"""Seconds in which an approval expires while nothing is there."""
_ROOT = Path(__file__).parents[2]


@dataclass
class System:
    """Temporal, a gateway and a worker, each a process; and what waits."""

    temporal: TemporalProcess
    gateway: GatewayProcess
    front: Front
    calls: dict[str, str] = field(default_factory=dict[str, str])

    @asynccontextmanager
    async def worker(self) -> AsyncGenerator[Child]:
        """A worker for the block."""
        scripts = {"LONGRUN_SCRIPTS": str(self.front.settings.home)}
        async with worker_process(self.gateway.settings, self.temporal.address, scripts) as worker:
            yield worker

    async def start(self, approval_timeout: float) -> str:
        """Start a run that asks for one approval."""
        agent = {"model": "scripted/writes", "tools": ["write_file"]}
        return (await self.front.start(agent, limits={"approval_timeout": approval_timeout}))["id"]

    async def pending(self, number: int) -> None:
        """Wait until so many calls wait, and remember them by their runs."""

        async def look() -> bool:
            query = {"status": "pending", "limit": 500}
            found = (await self.front.http.get("/api/approvals", params=query)).json()["approvals"]
            self.calls = {call["run_id"]: call["call_id"] for call in found}
            return len(found) == number

        await until(look, f"{number} approvals", PATIENCE)

    async def kill(self, worker: Child) -> None:
        """Kill all three."""
        worker.signal(signal.SIGKILL)
        await asyncio.gather(self.gateway.end(), self.temporal.end(), worker.ended())

    async def restart(self) -> None:
        """Start Temporal and the gateway again, at their old places."""
        await self.temporal.start()
        await self.gateway.start()

    async def review(self, *arguments: str) -> str:
        """What ``longrun review`` says."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "longrun.cli.main", "review", *arguments),
            env={**os.environ, "TEMPORAL_ADDRESS": self.temporal.address},
            cwd=_ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
        assert process.returncode == 0, output
        return output.decode()

    async def approve(self, run_id: str) -> None:
        """Approve a run's call over HTTP."""
        body = {"decision": "approve", "by": "ann", "run_id": run_id}
        response = await self.front.http.post(f"/api/approvals/{self.calls[run_id]}", json=body)
        assert response.status_code in (200, 202), response.text

    async def ended(self, run_ids: list[str]) -> list[dict[str, Any]]:
        """Wait until runs are over."""
        found: list[dict[str, Any]] = []

        async def look() -> bool:
            found[:] = [await self.front.run(run_id) for run_id in run_ids]
            return all(run["ended_at"] for run in found)

        await until(look, "the end of all runs", PATIENCE)
        return found

    async def timers(self, run_id: str) -> list[int]:
        """The seconds of each timer that a run's history has."""
        client = await Client.connect(self.temporal.address)
        history = await client.get_workflow_handle(run_id).fetch_history()
        return [_seconds(event) for event in history.events if event.HasField("timer_started_event_attributes")]


def _seconds(event: HistoryEvent) -> int:
    return event.timer_started_event_attributes.start_to_fire_timeout.ToSeconds()


@asynccontextmanager
async def system(folder: Path) -> AsyncGenerator[System]:
    """Temporal and a gateway, without a worker."""
    home = folder / "home"
    async with (
        temporal_process(folder) as temporal,
        gateway_process(home, temporal.address) as gateway,
        httpx2.AsyncClient(base_url=gateway.url, timeout=PATIENCE) as http,
    ):
        (home / "writes.yaml").write_text(SCRIPT)
        yield System(temporal, gateway, Front(gateway.url, http, gateway.settings))


async def past(moment: datetime) -> None:
    """Wait until a moment has passed."""

    async def look() -> bool:
        return datetime.now(UTC) > moment

    await until(look, f"{moment}", PATIENCE)


async def test_all_approvals_that_waited_can_be_decided_when_everything_was_killed(tmp_path: Path) -> None:
    async with system(tmp_path) as there:
        async with there.worker() as worker:
            runs = await asyncio.gather(*(there.start(DAY) for _ in range(WAITING)))
            await there.pending(WAITING)
            short = await there.start(SHORT)
            run = await there.front.waiting(short)
            (question,) = of_type(parsed(data for data in await _lines(there, short)), "approval.requested")
            await there.kill(worker)
        assert run["status"] == "waiting"
        await past(datetime.fromisoformat(question.model_dump(mode="json")["expires_at"]))
        await there.restart()
        async with there.worker():
            await there.pending(WAITING)
            waiting = json.loads(await there.review("--json"))
            assert {call["run_id"]: call["call_id"] for call in waiting} == there.calls
            for run_id in runs[:REVIEWED]:
                said = await there.review("approve", there.calls[run_id], "--run", run_id, "--by", "bob")
                assert "follows this decision" in said
            await asyncio.gather(*(there.approve(run_id) for run_id in runs[REVIEWED:]))
            ended = await there.ended([*runs, short])
        assert [run["status"] for run in ended[:-1]] == ["completed"] * WAITING
        assert (ended[-1]["status"], ended[-1]["stop_reason"]) == ("failed", "expired")
        for run_id in runs:
            events = parsed(await _lines(there, run_id))
            check_log(events)
            assert len(of_type(events, "approval.decided")) == 1
            assert (there.front.settings.workspace_folder / f"{run_id}.txt").exists()
        events = parsed(await _lines(there, short))
        check_log(events)
        assert len(of_type(events, "approval.expired")) == 1
        assert not (there.front.settings.workspace_folder / f"{short}.txt").exists()


async def test_an_approval_of_a_day_is_a_timer_of_a_day_that_temporal_keeps(tmp_path: Path) -> None:
    async with system(tmp_path) as there, there.worker():
        run_id = await there.start(DAY)
        await there.front.waiting(run_id)

        async def set_up() -> list[int]:
            return await there.timers(run_id)

        (seconds,) = await until(set_up, "the timer")
        assert DAY - 60 < seconds <= DAY
        await there.pending(1)
        await there.approve(run_id)
        await there.ended([run_id])


async def _lines(there: System, run_id: str) -> list[str]:
    """A run's log as it stands."""
    page = await there.front.http.get(f"/api/runs/{run_id}/events", params={"limit": 5000, "view": "raw"})
    return [json.dumps(event) for event in page.json()["events"]]
