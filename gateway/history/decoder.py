"""Takes the results of a run's activities out of the events of one execution of its history."""

import json
from collections.abc import Iterable
from typing import TypeVar

from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import (
    ActivityTaskCompletedEventAttributes,
    ActivityTaskScheduledEventAttributes,
    HistoryEvent,
    MarkerRecordedEventAttributes,
    WorkflowExecutionStartedEventAttributes,
)
from temporalio.converter import DataConverter

from longrun.gateway.history.results import Results
from longrun.workflows.contract.runs import RunState
from longrun.workflows.contract.shape import Shape
from longrun.workflows.contract.steps import (
    Answered,
    Finished,
    LifecycleSteps,
    ModelCall,
    ModelReply,
    ModelSteps,
    Paused,
    Recorded,
    ToolCall,
    ToolOutcome,
    ToolSteps,
)

S = TypeVar("S", bound=Shape)
_LOCAL_ACTIVITY = "core_local_activity"  # the marker that the SDK's core writes for one
_CALLS: dict[str, tuple[type[ModelCall | ToolCall], type[ModelReply | ToolOutcome]]] = {
    ModelSteps.call_model.__name__: (ModelCall, ModelReply),
    ToolSteps.run_tool.__name__: (ToolCall, ToolOutcome),
}
_LOCAL_RESULTS: dict[str, type[Answered | Paused | Recorded | Finished]] = {
    LifecycleSteps.answer_calls.__name__: Answered,
    LifecycleSteps.pause_run.__name__: Paused,
    LifecycleSteps.record_verdicts.__name__: Recorded,
    LifecycleSteps.finish_run.__name__: Finished,
}


class ExecutionDecoder:
    """Reads the events of one execution, first to last.

    Args:
        converter: Decodes payloads of this run.
        results: Gets what is found.
    """

    def __init__(self, converter: DataConverter, results: Results) -> None:
        self._converter = converter
        self._results = results
        self._asked: dict[int, ModelCall | ToolCall] = {}

    async def take(self, event: HistoryEvent) -> None:
        """Read one event."""
        kind = event.WhichOneof("attributes")
        if kind == "workflow_execution_started_event_attributes":
            await self._started(event.workflow_execution_started_event_attributes)
        elif kind == "activity_task_scheduled_event_attributes":
            await self._scheduled(event.event_id, event.activity_task_scheduled_event_attributes)
        elif kind == "activity_task_completed_event_attributes":
            await self._completed(event.activity_task_completed_event_attributes)
        elif kind == "marker_recorded_event_attributes":
            await self._marker(event.marker_recorded_event_attributes)

    async def _started(self, attributes: WorkflowExecutionStartedEventAttributes) -> None:
        state = await self._one(attributes.input.payloads, RunState)
        if state.started_at is None:  # later executions carry on with an order without its texts
            self._results.begin(state.order, attributes.task_queue.name)

    async def _scheduled(self, event_id: int, attributes: ActivityTaskScheduledEventAttributes) -> None:
        name = attributes.activity_type.name
        if name in _CALLS:
            call = await self._one(attributes.input.payloads, _CALLS[name][0])
            self._asked[event_id] = call
            if isinstance(call, ToolCall):
                self._results.ask(call.call_id, call.again)
            else:
                self._results.ask(call.step)

    async def _completed(self, attributes: ActivityTaskCompletedEventAttributes) -> None:
        call = self._asked.get(attributes.scheduled_event_id)
        if isinstance(call, ModelCall):
            self._results.reply(call.step, await self._one(attributes.result.payloads, ModelReply))
        elif isinstance(call, ToolCall):
            self._results.outcome([await self._one(attributes.result.payloads, ToolOutcome)])

    async def _marker(self, attributes: MarkerRecordedEventAttributes) -> None:
        if attributes.marker_name != _LOCAL_ACTIVITY or "result" not in attributes.details:
            return
        about = json.loads(attributes.details["data"].payloads[0].data)
        kind = _LOCAL_RESULTS.get(about["activity_type"])
        if kind is None:
            return
        self._keep(await self._one(attributes.details["result"].payloads, kind))

    def _keep(self, result: Answered | Paused | Recorded | Finished) -> None:
        if isinstance(result, Answered):
            self._results.outcome(result.outcomes)
        elif isinstance(result, Paused):
            self._results.pause(result)
        elif isinstance(result, Recorded):
            self._results.record(result)
        else:
            self._results.finish(result)

    async def _one(self, payloads: Iterable[Payload], kind: type[S]) -> S:
        values = await self._converter.decode(list(payloads), [kind])
        return values[0]
