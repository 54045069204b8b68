"""A run whose tools cannot be run to their end."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker
from typing_extensions import override

from longrun.activities.in_flight import InFlight
from longrun.activities.toolbox.registry import Tool, tool
from longrun.store.attempts import Attempts
from longrun.workflows.contract.events import ToolCompleted
from longrun.workflows.contract.requests import ToolCall
from longrun.workflows.contract.results import ToolOutcome
from longrun.workflows.contract.runs import Cancel, Decision
from longrun.workflows.contract.steps import ToolSteps
from longrun.workflows.policy.interruption import NOT_AGAIN
from tests.harness import Harness, order, unserved, worker
from tests.logcheck import of_type
from tests.provider_fake import Gate, call, in_turn, turn
from tests.tools import TOOLS, held

pytestmark = pytest.mark.server

SOON = timedelta(milliseconds=50)
FULL = ApplicationError("the disk is full", type="internal_error", non_retryable=True)
SCRIPT = in_turn(turn(call("c1", "look", {"what": "sea"})), turn("Done."))


class _Broken(ToolSteps):
    """Fails when its gate opens, or when it is cancelled."""

    def __init__(self) -> None:
        self.gate = Gate()

    @override
    @activity.defn
    async def run_tool(self, call: ToolCall) -> ToolOutcome:
        async with InFlight("broken").heartbeats(call.run_id, 0):
            with suppress(asyncio.CancelledError):
                await self.gate.passed()
        raise FULL


def serving(harness: Harness, tools: _Broken) -> Worker:
    """A worker with these tools."""
    others = [each for each in harness.process.activities if each.__name__ != "run_tool"]
    return worker(harness, activities=[*others, tools.run_tool])


async def test_a_tool_that_failed_for_good_is_a_result_the_model_sees(temporal: str, tmp_path: Path) -> None:
    tools = _Broken()
    tools.gate.open()
    async with unserved(temporal, tmp_path, SCRIPT, TOOLS) as harness, serving(harness, tools):
        outcome, events = await harness.ended(await harness.start(order("look")))
    assert outcome.stop_reason == "end_turn"
    (result,) = of_type(events, "tool.completed")
    assert isinstance(result, ToolCompleted)
    assert (result.status, result.content) == ("error", "The tool failed: the disk is full")


async def test_a_tool_that_fails_because_its_run_is_cancelled_does_not_fail_the_run(
    temporal: str, tmp_path: Path
) -> None:
    tools = _Broken()
    async with unserved(temporal, tmp_path, SCRIPT, TOOLS) as harness, serving(harness, tools):
        handle = await harness.start(order("look"))
        await tools.gate.reached.wait()
        await handle.signal("cancel", Cancel(by="ann"))
        outcome, events = await harness.ended(handle)
    assert outcome.status == "cancelled"
    (result,) = of_type(events, "tool.completed")
    assert isinstance(result, ToolCompleted)
    assert result.status == "cancelled"


@pytest.mark.parametrize(
    ("name", "status", "content"),
    [("hold", "ok", "let go"), ("strike", "error", NOT_AGAIN)],
)
async def test_a_worker_that_is_shut_down_hands_its_call_over_and_nothing_happens_twice_in_silence(
    temporal: str, tmp_path: Path, name: str, status: str, content: str
) -> None:
    gate, struck = Gate(), Gate()
    script = in_turn(turn(call("c1", name)), turn("Done."))
    async with unserved(temporal, tmp_path, script, [held(gate), striking(struck)]) as harness:
        handle = await harness.start(order(name))
        async with worker(harness, graceful_shutdown_timeout=SOON, sticky_queue_schedule_to_start_timeout=SOON):
            await (gate if name == "hold" else struck).reached.wait()
        gate.open()
        await handle.signal("decide", Decision(call_id="c1~2", decision="deny"))
        async with worker(harness):
            _, events = await harness.ended(handle)
        attempts = await Attempts(harness.stores.database).of_run(handle.id)
    (result,) = of_type(events, "tool.completed")
    assert isinstance(result, ToolCompleted)
    assert (result.status, result.content) == (status, content)
    ends = [entry.outcome for entry in attempts if entry.call_id]
    assert ends == (["handed_over", "completed"] if name == "hold" else ["handed_over"])


def striking(gate: Gate) -> Tool:
    """A tool with an effect that waits at a gate."""

    @tool(effect="write")
    async def strike() -> None:
        """Strike."""
        await gate.passed()

    return strike
