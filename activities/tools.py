"""Running a tool: once if it has an effect, again if it only reads, and always with one result."""

import asyncio
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from pydantic import JsonValue
from pydantic_core import to_json
from temporalio import activity
from temporalio.exceptions import ApplicationError
from typing_extensions import override

from longrun.activities.ends import cancelled_by_run
from longrun.activities.failures import MOST_FAILURES, backoff, bounded, handed_over, store_failures
from longrun.activities.fitting import fit
from longrun.activities.identity import origin_of
from longrun.activities.in_flight import InFlight, Pulse
from longrun.activities.toolbox.registry import Tool, Toolbox, ToolResult
from longrun.activities.toolbox.tool import ToolContext
from longrun.runtime.clock import now
from longrun.runtime.failpoints import reached
from longrun.store.blobs import MOST_BYTES, Blobs
from longrun.store.calls import MOST_LOST, CallAttempt, Calls, UnknownCallError
from longrun.store.log import FencedError
from longrun.store.runs import Runs
from longrun.workflows import shielded
from longrun.workflows.contract.agents import OnInterrupt
from longrun.workflows.contract.messages import ResultStatus
from longrun.workflows.contract.requests import Answer, ToolCall
from longrun.workflows.contract.results import ToolOutcome
from longrun.workflows.contract.steps import ToolSteps

INTERRUPTED = (
    "This call was interrupted and may have had its effect. It was not run again; check before you try it once more."
)
CANCELLED = "Cancelled while it was running."
GIVEN_UP = f"This call was given up after its worker died {MOST_LOST} times."
LARGEST_REPORT = 256 * 1024
"""Bytes of one report of progress."""
LARGEST_REPORTS = 8 * 1024 * 1024
"""Bytes of the reports of one attempt that are kept, the first ones."""
MOST_REPORTS = 10_000
_MAY_HAVE = "It may have had its effect."


class ToolActivities(ToolSteps):
    """Implements the port with the toolbox and the ledger."""

    def __init__(  # noqa: PLR0913 - one argument for each thing that a call needs
        self, toolbox: Toolbox, runs: Runs, calls: Calls, workspace: Path, *, blobs: Blobs, in_flight: InFlight
    ) -> None:
        self._toolbox = toolbox
        self._runs = runs
        self._calls = calls
        self._blobs = blobs
        self._in_flight = in_flight
        self._workspace = workspace

    @override
    @activity.defn
    async def run_tool(self, call: ToolCall) -> ToolOutcome:
        """Run a call, or say why not.

        Raises:
            ApplicationError: A later attempt has taken over; the worker is shut down; the store is unavailable; or a
                person must decide on the call, whose next attempt is the error's detail.
        """
        reached("call received")
        with self._in_flight.received(), bounded(), store_failures():
            try:
                return await fit(await self._outcome(call, self._toolbox.find(call.name)), self._blobs)
            except FencedError as error:
                raise ApplicationError(str(error), type="fenced") from error
            except UnknownCallError as error:  # the store has lost the run, and gets it back from history
                wait = timedelta(seconds=1)
                raise ApplicationError(str(error), type="internal_error", next_retry_delay=wait) from error

    async def _outcome(self, call: ToolCall, tool: Tool | None) -> ToolOutcome:
        if tool is None:  # the worker that planned the call had it: this one may be older, or newer
            tries = activity.info().attempt
            raise ApplicationError(
                f"this worker has no tool named {call.name}",
                type="no_such_tool",
                non_retryable=tries >= MOST_FAILURES,
                next_retry_delay=backoff(tries),
            )
        if_interrupted = _if_interrupted(tool)
        attempt, cancelled = await shielded.ended(self._begin(call, repeats=if_interrupted == "retry"))
        if attempt.outcome:
            return attempt.outcome
        if attempt.halted == "given_up":
            return await self._not_run(call, GIVEN_UP if if_interrupted == "retry" else f"{GIVEN_UP} {_MAY_HAVE}")
        if attempt.halted and if_interrupted == "fail":
            return await self._not_run(call, INTERRUPTED)
        if attempt.halted:
            why = f"attempt {attempt.number - 1} was interrupted, because its worker died or was shut down"
            raise ApplicationError(why, attempt.number, type="interrupted", non_retryable=True)
        return await self._run(call, attempt, cancelled=cancelled)

    async def _begin(self, call: ToolCall, *, repeats: bool) -> CallAttempt:
        await self._runs.admit(origin_of(call.run_id, call.step), now())
        return await self._calls.begin(call, call.edited, self._in_flight.taker(), repeats=repeats)

    async def _not_run(self, call: ToolCall, content: str) -> ToolOutcome:
        answer = Answer(call_id=call.call_id, name=call.name, status="error", content=content)
        (outcome,) = await self._calls.answer(call.run_id, [answer], now())
        return outcome

    async def _run(self, call: ToolCall, attempt: CallAttempt, *, cancelled: bool) -> ToolOutcome:
        try:
            result = await self._attempt(call, attempt, cancelled=cancelled)
        except asyncio.CancelledError:
            if cancelled_by_run():
                return await self._keep(call, attempt, "cancelled", ToolResult("error", CANCELLED))
            if not activity.is_worker_shutdown():
                raise
            await shielded.ended(self._calls.hand_over(call, attempt.number, now()))
            raise handed_over() from None
        return await self._keep(call, attempt, result.status, result)

    async def _attempt(self, call: ToolCall, attempt: CallAttempt, *, cancelled: bool) -> ToolResult:
        if cancelled:
            raise asyncio.CancelledError
        tool = self._toolbox.find(call.name)
        writes = tool is not None and tool.spec.effect == "write"
        async with self._in_flight.heartbeats(call.run_id, attempt.started.first) as pulse:
            reached("write started" if writes else "read started")
            result = await self._toolbox.run(call.name, attempt.arguments, self._context(call, attempt.number, pulse))
            reached("write ended" if writes else "read ended")
            return result

    async def _keep(
        self, call: ToolCall, attempt: CallAttempt, status: ResultStatus, result: ToolResult
    ) -> ToolOutcome:
        answer = Answer(call_id=call.call_id, name=call.name, status=status, content=_shown(call, result))
        outcome, _ = await shielded.ended(self._calls.complete(call, answer, result.whole, attempt.number, now()))
        reached("result written")
        return outcome

    def _context(self, call: ToolCall, attempt: int, pulse: Pulse) -> ToolContext:
        reported = written = 0

        async def progress(data: JsonValue) -> None:
            nonlocal reported, written
            size = len(to_json(data))
            if size > LARGEST_REPORT:
                data = f"[cut: a report of {size} bytes, of which at most {LARGEST_REPORT} are kept]"
            reported += 1
            written += min(size, LARGEST_REPORT)
            if reported > MOST_REPORTS or written > LARGEST_REPORTS:
                return
            pulse.wrote(await self._calls.progress(call, attempt, reported, data, now()))

        self._workspace.mkdir(parents=True, exist_ok=True)
        return ToolContext(call.run_id, call.call_id, attempt, self._workspace, progress)


def _if_interrupted(tool: Tool | None) -> OnInterrupt:
    """What happens to a call that was interrupted; one that changes nothing runs again."""
    return tool.spec.on_interrupted if tool and tool.spec.effect == "write" else "retry"


def _shown(call: ToolCall, result: ToolResult) -> str:
    """What the model and the log get of a result: of a long one its beginning, and where all of it is."""
    if result.whole is None:
        return result.content
    kept = "all of it" if len(result.whole.encode()) <= MOST_BYTES else f"its first {MOST_BYTES} bytes"
    where = f"/api/runs/{call.run_id}/results/{quote(call.call_id, safe='')}"
    length = f"the first {len(result.content)} of {len(result.whole)} characters"
    return f"{result.content}\n[cut: {length}; {kept}: {where}]"
