"""Runs that are reset in Temporal, behind a gateway with its reconciler."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from longrun.activities.providers.provider import ModelRequest
from longrun.activities.toolbox.registry import Tool, tool
from longrun.activities.toolbox.tool import ToolContext
from longrun.runtime.ids import new_id
from longrun.workflows.contract.events import Event, RunResumed
from longrun.workflows.contract.runs import RunOrder, Verdict
from tests.gateway.service_harness import ServiceHarness, service_harness
from tests.harness import Harness, harnessed, order, until
from tests.logcheck import parsed
from tests.provider_fake import Turn, call, turn
from tests.running import Front, serving
from tests.tools import note, noted


@tool(effect="write")
async def write(context: ToolContext, line: str) -> str:
    """Write a line."""
    note(context.workspace, line)
    return f"wrote {line}"


@tool(effect="write", approval="always")
async def pay(context: ToolContext, line: str) -> str:
    """Write a line, if a person agrees."""
    note(context.workspace, line)
    return f"paid {line}"


TOOLS: tuple[Tool, ...] = (write, pay)


class Model:
    """Says for each step what it is to say; ``requests`` counts those of each."""

    def __init__(self, *steps: Callable[[int], Turn]) -> None:
        self._steps = steps
        self.requests: Counter[int] = Counter()

    def __call__(self, request: ModelRequest) -> Turn:
        self.requests[request.step] += 1
        return self._steps[request.step - 1](self.requests[request.step])


def calling(name: str, line: str) -> Callable[[int], Turn]:
    """A step that calls a tool, by the same id each time."""
    return lambda _: turn(f"I call {name}.", call(f"{name}-{line}", name, {"line": line}))


def saying(*texts: str) -> Callable[[int], Turn]:
    """A step that says something else each time, and the last thing from then on."""
    return lambda times: turn(texts[min(times, len(texts)) - 1])


@dataclass(frozen=True)
class Scene:
    """A worker, a gateway with its reconciler, and what is behind them."""

    harness: Harness
    services: ServiceHarness
    front: Front
    model: Model

    async def start(self, given: RunOrder | None = None) -> str:
        """Start a run that may use all tools."""
        return (await self.harness.start(given or order("write", "pay"))).id

    async def execution(self, run_id: str) -> str:
        """The newest execution of a run's chain."""
        return (await self.harness.handle(run_id).describe()).run_id or ""

    async def reset(
        self, run_id: str, step: int = 0, *, task: int = 0, execution: str | None = None, signals: bool = True
    ) -> None:
        """Set a run back as the Web UI does.

        Args:
            run_id: The run.
            step: To before an execution's model call of this number.
            task: Else to a task, by default the last one.
            execution: The execution, by default the newest.
            signals: Whether signals that came after it are sent again.
        """
        execution = execution or await self.execution(run_id)
        events = (await self.harness.client.get_workflow_handle(run_id, run_id=execution).fetch_history()).events
        scheduled = [
            event.activity_task_scheduled_event_attributes.workflow_task_completed_event_id
            for event in events
            if event.activity_task_scheduled_event_attributes.activity_type.name == "call_model"
        ]
        done = [event.event_id for event in events if event.HasField("workflow_task_completed_event_attributes")]
        reapplied = ResetReapplyType.RESET_REAPPLY_TYPE_SIGNAL if signals else ResetReapplyType.RESET_REAPPLY_TYPE_NONE
        request = ResetWorkflowExecutionRequest(
            namespace=self.harness.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=run_id, run_id=execution),
            reason="once more",
            workflow_task_finish_event_id=scheduled[step - 1] if step else done[task - 1],
            request_id=new_id(),
            reset_reapply_type=reapplied,
        )
        await self.harness.client.workflow_service.reset_workflow_execution(request)

    async def resumed(self, run_id: str, times: int = 1) -> RunResumed:
        """Wait until the log says that the run was reset."""

        async def look() -> RunResumed | None:
            found = resets(await self.harness.events(run_id))
            return found[times - 1] if len(found) >= times else None

        return await until(look, "run.resumed")

    async def decide(self, run_id: str, call_id: str, decision: Verdict, **more: object) -> None:
        """Decide a call when the run waits for nothing else."""
        await self.harness.phase(self.harness.handle(run_id), "waiting")
        await self.services.decide(run_id, call_id, decision, **more)

    async def whole(self, run_id: str) -> list[Event]:
        """Wait for the end of a run, check everything that must hold of it, and give its whole log."""
        _, events = await self.harness.ended(self.harness.handle(run_id))
        await self.services.assert_rebuilt(run_id)
        settled = await self.services.settled(run_id)
        assert [data.encode() for _, _, data in await self.front.frames(run_id)] == settled
        conversation = await self.harness.stores.messages_of(run_id)
        call_ids = [event.call_id for event in parsed(settled) if event.type == "tool_call.completed"]
        assert [part.call_id for message in conversation for part in message.calls] == call_ids
        return events

    @property
    def ledger(self) -> list[str]:
        """What the tools have written."""
        return noted(self.harness.settings.workspace_folder)


def resets(events: Iterable[Event]) -> list[RunResumed]:
    """The events that tell of a reset."""
    return [event for event in events if isinstance(event, RunResumed) and event.first is not None]


@asynccontextmanager
async def scene(temporal: str, home: Path, model: Model, tools: Sequence[Tool] = TOOLS) -> AsyncGenerator[Scene]:
    """All of it, for a model and its tools."""
    async with harnessed(temporal, home, model, tools) as harness, serving(harness.settings, temporal) as front:
        yield Scene(harness, service_harness(harness), front, model)


async def tasks_done(on: Scene, run_id: str, count: int) -> bool:
    """Whether the workflow has done so many tasks."""
    events = (await on.harness.handle(run_id).fetch_history()).events
    return sum(event.HasField("workflow_task_completed_event_attributes") for event in events) >= count


async def waited_and_terminated(on: Scene) -> str:
    """A run that was terminated after a task of its workflow in which it did nothing but wait."""
    run_id = await on.start()
    await on.front.waiting(run_id)
    await until(lambda: on.services.recorded(run_id, "run.waiting"), "the pause in history")
    await on.harness.handle(run_id).signal("say", {"text": "Take your time.", "id": "s1"})
    await until(lambda: tasks_done(on, run_id, 3), "a task after the pause")
    await on.harness.handle(run_id).terminate(reason="by mistake")
    await on.front.ended(run_id)
    return run_id
