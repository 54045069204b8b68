"""Running a tool: once if it has an effect, again if it only reads, and always with one result."""

import asyncio
import json
from pathlib import Path

from pydantic import JsonValue
from temporalio import activity
from temporalio.exceptions import ApplicationError
from typing_extensions import override

from activities.heartbeat import cancelled_by_run, heartbeats
from activities.toolbox.registry import Toolbox
from activities.toolbox.tool import ToolContext
from store.calls import BegunCall, Calls
from store.clock import now
from store.log import FencedError
from workflows import untorn
from workflows.contract.messages import ResultStatus
from workflows.contract.steps import Answer, ToolCall, ToolOutcome, ToolSteps

INTERRUPTED = (
    "This call was interrupted and may have had its effect. It was not run again; check before you try it once more."
)
CANCELLED = "Cancelled while it was running."


class ToolActivities(ToolSteps):
    """Implements the port with the toolbox and the ledger."""

    def __init__(self, toolbox: Toolbox, calls: Calls, workspace: Path) -> None:
        self._toolbox = toolbox
        self._calls = calls
        self._workspace = workspace

    @override
    @activity.defn
    async def run_tool(self, call: ToolCall) -> ToolOutcome:
        edited = None if call.args is None else json.dumps(call.args, separators=(",", ":"))
        begun = await self._calls.begin(call, edited, activity.info().task_queue, now())
        if begun.outcome:
            return begun.outcome
        try:
            async with heartbeats():
                status, content = await self._run(call, begun)
            answer = Answer(call_id=call.call_id, name=call.name, status=status, content=content)
            outcome, _ = await untorn.ended(self._calls.complete(call, answer, edited, begun.attempt, now()))
        except FencedError as error:
            raise ApplicationError(str(error), type="fenced") from error
        return outcome

    async def _run(self, call: ToolCall, begun: BegunCall) -> tuple[ResultStatus, str]:
        tool = self._toolbox.find(call.name)
        if begun.interrupted and tool and tool.spec.effect == "write" and tool.spec.on_interrupted != "retry":
            return "error", INTERRUPTED
        reported = 0

        async def progress(data: JsonValue) -> None:
            nonlocal reported
            reported += 1
            await self._calls.progress(call, begun.attempt, reported, data, now())

        self._workspace.mkdir(parents=True, exist_ok=True)
        context = ToolContext(call.run_id, call.call_id, begun.attempt, self._workspace, progress)
        try:
            result = await self._toolbox.run(call.name, begun.arguments, context)
        except asyncio.CancelledError:
            if not cancelled_by_run():
                raise
            return "cancelled", CANCELLED
        return result.status, result.content
