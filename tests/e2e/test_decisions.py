"""Decisions that other programs make: Temporal's command line, and ours at the same time as a request."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from longrun.activities.providers.provider import ModelRequest
from longrun.workflows.contract.events import ApprovalDecided, ToolCompleted
from tests.dev_server import found
from tests.gateway_process import worked
from tests.logcheck import check_log, parsed
from tests.patience import PATIENCE
from tests.provider_fake import Gate, Turn, call, text, turn
from tests.running import Front
from tests.tools import TOOLS

pytestmark = pytest.mark.server

AGENT = {"model": "scripted/x", "tools": ["pay"]}
_ROOT = Path(__file__).parents[2]


class Payer:
    """A model that wants to pay twice, one after the other; if it is told to, it waits before it says so."""

    def __init__(self) -> None:
        self.before = Gate()

    def says(self, request: ModelRequest) -> Turn:
        """What comes at this step."""
        if request.step > 2:
            return turn("Done.")
        waits = [text("Well", self.before)] if request.messages[0].text == "wait" else []
        return turn(*waits, call(f"{request.run_id}-{request.step}", "pay", {"amount": request.step}))


@pytest.fixture(scope="module")
def payer() -> Payer:
    return Payer()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def front(temporal: str, payer: Payer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with worked(temporal, tmp_path_factory.mktemp("decisions"), payer.says, TOOLS) as (front, _):
        yield front


async def execute(*command: str, **environ: str) -> tuple[int | None, str]:
    """Run a program to its end; its status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **environ},
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


async def signal(temporal: str, run_id: str, step: int, decision: str) -> None:
    """Decide a call by Temporal's own command line."""
    payload = json.dumps({"call_id": f"{run_id}-{step}", "decision": decision})
    options = ("--address", temporal, "--workflow-id", run_id, "--name", "decide", "--input", payload)
    status, output = await execute(str(found().binary), "workflow", "signal", *options)
    assert status == 0, output


async def followed(front: Front, run_id: str) -> list[tuple[str, str]]:
    """What was decided of each call, and what came of it."""
    await front.ended(run_id)
    events = parsed(data for _, _, data in await front.frames(run_id))
    check_log(events)
    decisions = {event.call_id: event.decision for event in events if isinstance(event, ApprovalDecided)}
    return [(decisions[event.call_id], event.content) for event in events if isinstance(event, ToolCompleted)]


async def test_temporals_command_line_decides_and_what_it_says_early_is_kept(
    front: Front, temporal: str, payer: Payer
) -> None:
    run_id = (await front.start(AGENT, "wait"))["id"]
    async with asyncio.timeout(PATIENCE):
        await payer.before.reached.wait()
    await signal(temporal, run_id, 1, "approve")
    payer.before.open()
    await front.until(run_id, lambda run: [call["step"] for call in run["pending_approvals"]] == [2])
    await signal(temporal, run_id, 2, "deny")
    (first, paid), (second, denied) = await followed(front, run_id)
    assert (first, paid, second) == ("approve", "paid 1", "deny")
    assert "denied" in denied


async def test_of_a_reviewer_and_a_request_at_once_one_wins_and_the_other_is_told(front: Front, temporal: str) -> None:
    run_id = (await front.start(AGENT))["id"]
    outcomes: list[str] = []
    for step in (1, 2):
        call_id = f"{run_id}-{step}"
        await front.until(run_id, lambda run, step=step: run["step"] == step and run["status"] == "waiting")
        review = (sys.executable, "-m", "longrun.cli.main", "review", "deny", call_id, "--run", run_id, "--by", "ann")
        reviewing = asyncio.create_task(execute(*review, TEMPORAL_ADDRESS=temporal))
        if step == 1:
            await reviewing
        posted = await front.http.post(
            f"/api/approvals/{call_id}", json={"decision": "approve", "by": "bob", "run_id": run_id}
        )
        status, output = await reviewing
        assert (posted.status_code, status) in {(200, 1), (409, 0)}, output
        first = "approve by bob" if status else "deny by ann"
        assert status == 0 or f"another decision came first: {first}" in output
        assert posted.status_code == 200 or posted.json()["decision"]["by"] == "ann"
        outcomes.append(first.split(maxsplit=1)[0])
    assert outcomes[0] == "deny"
    assert [decision for decision, _ in await followed(front, run_id)] == outcomes
