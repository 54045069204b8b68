"""A run of many steps: it ends, its histories stay short, and its log can be made again from them."""

import os
from pathlib import Path

import pytest
from temporalio.client import Client

from longrun.gateway.history.rebuilder import Rebuilder
from longrun.runtime.temporal import temporal_connection
from longrun.store.db.database import Database
from longrun.store.log_reader import LogReader
from longrun.store.runs import Runs
from longrun.workflows.contract.events import EVENT
from tests.logcheck import check_log
from tests.running import Front, environment, running

pytestmark = pytest.mark.server

STEPS = 1000 if os.environ.get("LONGRUN_TEST_LONG") else 120
SCRIPT = f"""
turns:
  - loop:
      count: {STEPS - 1}
      turn:
        - text: Once more.
        - tool_calls: [{{name: list_files}}]
  - - text: Done at last.
"""
LONGEST_HISTORY = 200
"""Events: a step has a dozen, and this server suggests to continue after 50."""


async def _histories(client: Client, run_id: str) -> list[tuple[int, int]]:
    """Events and bytes of each execution of the run's chain, oldest first."""
    executions = [execution async for execution in client.list_workflows(f"WorkflowId = '{run_id}'")]
    found: list[tuple[int, int]] = []
    for execution in sorted(executions, key=lambda each: each.start_time):
        history = await client.get_workflow_handle(run_id, run_id=execution.run_id).fetch_history()
        found.append((len(history.events), sum(event.ByteSize() for event in history.events)))
    return found


async def _lines(front: Front, run_id: str) -> list[str]:
    return [data for _, _, data in await front.frames(run_id)]


async def test_a_run_of_many_steps_ends_and_can_be_rebuilt(impatient_temporal: str, tmp_path: Path) -> None:
    async with running(impatient_temporal, tmp_path, scripts={"long": SCRIPT}) as front:
        agent = {"model": "scripted/long", "tools": ["list_files"]}
        run = await front.start(agent, limits={"max_steps": STEPS})
        lines = await _lines(front, run["id"])
        events = [EVENT.validate_json(line) for line in lines]
        check_log(events)
        assert (await front.run(run["id"]))["status"] == "completed"
        assert sum(event.type == "message.completed" for event in events) == STEPS

        with environment(TEMPORAL_ADDRESS=impatient_temporal):
            client = await Client.connect(**temporal_connection())
        parts = await _histories(client, run["id"])
        assert len(parts) > STEPS / 20
        assert max(events_of_part for events_of_part, _ in parts) < LONGEST_HISTORY
        whole = [size / count for count, size in parts]
        assert max(whole) < 2 * min(whole), f"bytes per event grow along the chain: {whole}"

        database = Database(front.settings.database)
        try:
            rebuilder = Rebuilder(client, database, Runs(database), LogReader(database))
            rebuilt = await rebuilder.rebuild(run["id"])
        finally:
            await database.aclose()
        assert rebuilt is not None
        assert [rebuilt.lines[seq].decode() for seq in sorted(rebuilt.lines)] == lines
