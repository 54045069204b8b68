"""The store is lost in the middle of a step: no seq that a reader has seen is given to another event."""

import signal
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client
from temporalio.service import RPCError

from longrun.workflows.contract.events import AttemptSuperseded, StepStarted, TextDelta
from tests.activities.killing import worker_process
from tests.e2e.test_lost_log import assert_rebuilt
from tests.gateway_process import GatewayProcess, fronted
from tests.harness import until
from tests.logcheck import check_settled, of_type, parsed
from tests.patience import PATIENCE
from tests.running import Front

pytestmark = pytest.mark.server

SCRIPT = """
turns:
  - - {tokens_per_second: 20}
    - text: "SPEECH"
  - - text: "never asked"
"""
SPEECH = " ".join(f"word{n}" for n in range(200))
AGENT = {"model": "scripted/slow"}


async def reported(temporal: str, run_id: str) -> int:
    """The last seq of which the run's activity has told Temporal."""
    client = await Client.connect(temporal)
    try:
        described = await client.get_workflow_handle(run_id).describe()
    except RPCError:  # it is not started yet
        return 0
    pending: list[PendingActivityInfo] = list(described.raw_description.pending_activities)
    details = [each.heartbeat_details.payloads[0].data for each in pending if each.HasField("heartbeat_details")]
    return max(map(int, details), default=0)


async def lose(gateway: GatewayProcess) -> None:
    """Kill the gateway, delete the store, and start the gateway again."""
    await gateway.end(signal.SIGKILL)
    for file in gateway.settings.home.glob("longrun.db*"):
        file.unlink()
    await gateway.start()


async def read_until(front: Front, run_id: str, before: int, temporal: str) -> list[dict[str, Any]]:
    """What a reader has seen when Temporal was told of a seq beyond ``before``."""

    async def seen() -> bool:
        return await reported(temporal, run_id) > before

    await until(seen, "a heartbeat that tells of text", PATIENCE)
    page = (await front.http.get(f"/api/runs/{run_id}/events", params={"limit": 5000, "view": "raw"})).json()
    return page["events"]


async def test_seqs_of_text_that_the_store_has_lost_are_not_given_again(temporal: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with fronted(temporal, home) as (front, gateway):
        (home / "slow.yaml").write_text(SCRIPT.replace("SPEECH", SPEECH))
        scripts = {"LONGRUN_SCRIPTS": str(home)}
        async with worker_process(gateway.settings, temporal, scripts) as worker:
            run_id = (await front.start(AGENT))["id"]
            before = await read_until(front, run_id, 10, temporal)
            worker.signal(signal.SIGKILL)
            await lose(gateway)
        (home / "slow.yaml").write_text('turns: [{text: "Here it is."}]')
        async with worker_process(gateway.settings, temporal, scripts):
            run = await front.ended(run_id)
        assert run["status"] == "completed"
        last = before[-1]["seq"]
        following = parsed(data for _, _, data in await front.frames(run_id, f"?view=raw&starting_after={last}"))
        (notice,) = of_type(following, "attempt.superseded")
        assert isinstance(notice, AttemptSuperseded)
        first = next(event["seq"] for event in before if event["type"] == "text.delta")
        assert notice.first <= first <= last <= notice.last
        text = [event.delta for event in following if isinstance(event, TextDelta)]
        assert "".join(text) == "Here it is."
        assert [event.attempt for event in following if isinstance(event, StepStarted)] == [2]
        assert [(each["attempt"], each["outcome"]) for each in run["attempts"]] == [(1, "lost"), (2, "completed")]
        check_settled(parsed(data for _, _, data in await front.frames(run_id)))
        await assert_rebuilt(front, temporal, run_id)


async def test_seqs_of_reports_that_the_store_has_lost_are_not_given_again(temporal: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with fronted(temporal, home) as (front, gateway):
        (home / "calls.yaml").write_text('turns: [{tool_calls: [{name: count}]}, {text: "{last_result}"}]')
        environ = {"LONGRUN_SCRIPTS": str(home)}
        async with worker_process(gateway.settings, temporal, environ) as worker:

            async def known() -> bool:
                return any(each["name"] == "count" for each in (await front.http.get("/api/tools")).json()["tools"])

            await until(known, "the tool", PATIENCE)
            run_id = (await front.start({"model": "scripted/calls", "tools": ["count"]}))["id"]
            before = await read_until(front, run_id, 40, temporal)
            worker.signal(signal.SIGKILL)
            await lose(gateway)
        async with worker_process(gateway.settings, temporal, environ):
            run = await front.ended(run_id)
        assert run["status"] == "completed"
        seen = {event["seq"]: event for event in before}
        after = (await front.http.get(f"/api/runs/{run_id}/events", params={"limit": 5000, "view": "raw"})).json()[
            "events"
        ]
        assert not [event for event in after if event["seq"] in seen and event != seen[event["seq"]]]
        following = [event for event in after if event["seq"] > before[-1]["seq"]]
        assert [event["data"]["attempt"] for event in following if event["type"] == "tool.progress"] == [2, 2, 2]
        assert len([event for event in following if event["type"] == "tool.completed"]) == 1
        await assert_rebuilt(front, temporal, run_id)
