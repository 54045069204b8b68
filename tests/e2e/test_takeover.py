"""A worker that dies is followed at once, whatever it had in flight; one that is only held up is not."""

import asyncio
import signal
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.activities.killing import worker_process
from tests.gateway_process import fronted
from tests.harness import until
from tests.logcheck import check_log, parsed
from tests.patience import PATIENCE
from tests.tools import noted

pytestmark = pytest.mark.server

CALLS = 40
HOLDS = """
turns:
  - tool_calls: [{name: hold_the_interpreter, arguments: {seconds: 10}}]
  - text: "{last_result}"
"""
SILENT = """
turns:
  - - {pause: 12}
    - text: "At last."
"""
LOOKS = """
turns:
  - tool_calls: [{name: list_files}, {name: list_files}]
  - text: "Seen."
"""
WATCHES = """
turns:
  - tool_calls: [{name: watch, arguments: {mark: "{run_id}"}}]
  - text: "{last_result}"
"""


async def test_all_calls_of_a_killed_worker_are_taken_over_and_none_of_another(temporal: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with fronted(temporal, home) as (front, gateway):
        (home / "watches.yaml").write_text(WATCHES)
        environ = {"LONGRUN_SCRIPTS": str(home)}
        workspace = gateway.settings.workspace_folder

        async def started(number: int) -> bool:
            return len(noted(workspace)) == number

        async with worker_process(gateway.settings, temporal, environ) as doomed:
            agent = {"model": "scripted/watches", "tools": ["watch"]}
            runs = [(await front.start(agent))["id"] for _ in range(CALLS)]
            await until(lambda: started(CALLS), "all calls", PATIENCE)
            async with worker_process(gateway.settings, temporal, environ):
                doomed.signal(signal.SIGKILL)
                await until(lambda: started(2 * CALLS), "all calls again", PATIENCE)
                assert sorted(noted(workspace)) == sorted(f"{run_id} {n}" for run_id in runs for n in (1, 2))
                for run_id in runs:
                    (workspace / f"{run_id}.2").touch()
                ended = await asyncio.gather(*map(front.ended, runs))
        for run in ended:
            assert (run["status"], run["output"]) == ("completed", f"{run['id']} came at attempt 2")
            workers = {attempt["worker"] for attempt in run["attempts"] if attempt["call_id"]}
            assert len(workers) == 2
            check_log(parsed(data for _, _, data in await front.frames(run["id"], "?view=raw")))


@pytest.mark.parametrize("number", [1, 2, 3], ids=["model", "tool", "its neighbour"])
async def test_a_call_that_a_worker_was_sent_and_has_not_begun_is_taken_over(
    temporal: str, tmp_path: Path, number: int
) -> None:
    home = tmp_path / "home"
    async with fronted(temporal, home) as (front, gateway):
        (home / "looks.yaml").write_text(LOOKS)
        stop = home / "stopped"
        environ = {"LONGRUN_SCRIPTS": str(home)}
        failpoint = {"LONGRUN_STOP_AT": f"call received#{number}", "LONGRUN_STOP_FILE": str(stop)}
        async with worker_process(gateway.settings, temporal, environ | failpoint) as doomed:
            run_id = (await front.start({"model": "scripted/looks", "tools": ["list_files"]}))["id"]

            async def stopped() -> bool:
                return stop.exists()

            await until(stopped, "the failpoint", PATIENCE)
            async with worker_process(gateway.settings, temporal, environ):
                doomed.signal(signal.SIGKILL)
                run = await front.ended(run_id)
        assert (run["status"], run["output"]) == ("completed", "Seen.")
        client = await Client.connect(temporal)
        history = await client.get_workflow_handle(run_id).fetch_history()
        started = [event.activity_task_started_event_attributes for event in history.events]
        assert "its worker has died" in [attributes.last_failure.message for attributes in started]
        check_log(parsed(data for _, _, data in await front.frames(run_id, "?view=raw")))


async def test_a_tool_that_holds_the_interpreter_makes_nobody_repeat_anything(temporal: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with fronted(temporal, home) as (front, gateway):
        for name, script in (("holds", HOLDS), ("silent", SILENT)):
            (home / f"{name}.yaml").write_text(script)
        environ = {"LONGRUN_SCRIPTS": str(home)}
        async with (
            worker_process(gateway.settings, temporal, environ),
            worker_process(gateway.settings, temporal, environ),
        ):
            silent = [(await front.start({"model": "scripted/silent"}))["id"] for _ in range(6)]
            holding = (await front.start({"model": "scripted/holds", "tools": ["hold_the_interpreter"]}))["id"]
            ended = await asyncio.gather(*map(front.ended, (*silent, holding)))
        assert [run["status"] for run in ended] == ["completed"] * 7
        assert [attempt["outcome"] for run in ended for attempt in run["attempts"]] == ["completed"] * 9
