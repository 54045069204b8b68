"""Takes the results of a run's activities out of the events of one execution of its history."""

import json
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from pydantic import ValidationError
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
from longrun.workflows.contract.requests import ModelCall, ToolCall
from longrun.workflows.contract.results import Answered, Finished, Ignored, ModelReply, Paused, Recorded, ToolOutcome
from longrun.workflows.contract.runs import RunState
from longrun.workflows.contract.shape import Shape
from longrun.workflows.contract.steps import LifecycleSteps, ModelSteps, ToolSteps

S = TypeVar("S", bound=Shape)
BlobReader = Callable[[str], Awaitable[bytes | None]]
_LOCAL_ACTIVITY = "core_local_activity"  # the marker that the SDK's core writes for one
_REQUESTS: dict[str, type[ModelCall | ToolCall]] = {
    ModelSteps.call_model.__name__: ModelCall,
    ToolSteps.run_tool.__name__: ToolCall,
}
_LOCAL_RESULTS: dict[str, type[Answered | Paused | Recorded | Ignored | Finished]] = {
    LifecycleSteps.answer_calls.__name__: Answered,
    LifecycleSteps.pause_run.__name__: Paused,
    LifecycleSteps.record_verdicts.__name__: Recorded,
    LifecycleSteps.note_ignored.__name__: Ignored,
    LifecycleSteps.finish_run.__name__: Finished,
}


class ExecutionDecoder:
    """Reads the events of one execution, first to last.

    Args:
        converter: Decodes payloads of this run.
        results: Gets what is found.
        blobs: Finds what is too large for history; without it, of that only the digest counts.
    """

    def __init__(self, converter: DataConverter, results: Results, blobs: BlobReader | None) -> None:
        self._converter = converter
        self._results = results
        self._blobs = blobs
        self._kinds: dict[int, type[ModelReply | ToolOutcome]] = {}

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
        state: RunState | None = None
        with suppress(ValueError, LookupError):  # started by hand, with what is no run of ours
            state = await self._one(attributes.input.payloads, RunState)
        if state is not None and state.started_at is None:  # later ones carry on with an order without its texts
            self._results.begin(state.order)

    async def _scheduled(self, event_id: int, attributes: ActivityTaskScheduledEventAttributes) -> None:
        kind = _REQUESTS.get(attributes.activity_type.name)
        if kind is None:
            return
        request = await self._one(attributes.input.payloads, kind)
        if isinstance(request, ToolCall):
            self._kinds[event_id] = ToolOutcome
            self._results.schedule(request.call_id, request.again)
        else:
            self._kinds[event_id] = ModelReply
            self._results.schedule(request.step)

    async def _completed(self, attributes: ActivityTaskCompletedEventAttributes) -> None:
        if kind := self._kinds.get(attributes.scheduled_event_id):
            with suppress(ValueError):  # completed by hand with what is no result of ours; the run had it done again
                self._results.add(await self._whole(await self._one(attributes.result.payloads, kind)))

    async def _marker(self, attributes: MarkerRecordedEventAttributes) -> None:
        if attributes.marker_name != _LOCAL_ACTIVITY or "result" not in attributes.details:
            return
        about = json.loads(attributes.details["data"].payloads[0].data)
        kind = _LOCAL_RESULTS.get(about["activity_type"])
        if kind is None:
            return
        result = await self._one(attributes.details["result"].payloads, kind)
        for each in result.outcomes if isinstance(result, Answered) else (result,):
            self._results.add(await self._whole(each))

    async def _whole(self, result: S) -> S:
        """A result with what was too large for history; as it is, if that is lost."""
        kept = getattr(result, "kept", None)
        body = await self._blobs(kept) if kept and self._blobs else None
        with suppress(ValidationError):  # more than a blob holds
            return type(result).model_validate_json(body) if body else result
        return result

    async def _one(self, payloads: Iterable[Payload], kind: type[S]) -> S:
        values = await self._converter.decode(list(payloads), [kind])
        return values[0]
