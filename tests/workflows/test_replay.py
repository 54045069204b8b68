"""Runs in flight: what earlier versions have recorded goes on in this one, with the same log."""

from collections.abc import Callable, Sequence

import pytest
from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.api.failure.v1 import Failure, TimeoutFailureInfo
from temporalio.api.history.v1 import ActivityTaskTimedOutEventAttributes
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import WorkflowSerializationContext
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

from longrun.gateway.history.decoder import ExecutionDecoder
from longrun.gateway.history.log import history_from
from longrun.gateway.history.results import Results
from longrun.workflows.agent_run import AgentRun
from longrun.workflows.contract.steps import LifecycleSteps, ModelSteps, ToolSteps
from tests.history_files import RECORDER, disclosed, execution_files, kind_of, load, log_file
from tests.logcheck import check_settled, parsed
from tests.record_histories import KINDS
from tests.sandbox import sandbox

FILES = execution_files()


@pytest.fixture(scope="module", params=[UnsandboxedWorkflowRunner, sandbox], ids=["as a worker", "in the sandbox"])
def replayer(request: pytest.FixtureRequest) -> Replayer:
    return Replayer(workflows=[AgentRun], data_converter=pydantic_data_converter, workflow_runner=request.param())


@pytest.mark.parametrize("name", [path.name for path in FILES])
async def test_a_recorded_run_is_replayed(replayer: Replayer, name: str) -> None:
    (path,) = [path for path in FILES if path.name == name]
    await replayer.replay_workflow(load(path))


@pytest.mark.parametrize("kind", KINDS)
async def test_the_log_of_a_recorded_run_is_rebuilt_to_the_same_bytes(kind: str) -> None:
    results = await results_of([load(path) for path in execution_files(kind)])
    rebuilt = history_from(results)
    assert rebuilt is not None
    assert rebuilt.final
    lines = log_file(kind).read_bytes().splitlines()
    assert [rebuilt.lines[seq] for seq in sorted(rebuilt.lines)] == lines
    check_settled(parsed(lines))


async def results_of(executions: Sequence[WorkflowHistory]) -> Results:
    """The results in the histories of a run."""
    run_id = executions[0].workflow_id
    context = WorkflowSerializationContext(namespace="default", workflow_id=run_id)
    results = Results(run_id)
    for execution, following in zip(executions, [*executions[1:], None], strict=True):
        decoder = ExecutionDecoder(pydantic_data_converter.with_context(context), results, None)
        for event in execution.events:
            await decoder.take(event)
        end = execution.events[-1].workflow_execution_continued_as_new_event_attributes
        assert end.new_execution_run_id == (following.run_id if following else "")
    return results


def test_every_kind_of_run_is_recorded_and_nothing_else() -> None:
    assert {kind_of(path) for path in FILES} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_recorded_history_does_not_disclose_where_it_was_recorded(kind: str) -> None:
    for path in execution_files(kind):
        events = path.read_text().splitlines()[1:-1]
        assert disclosed([event.rstrip(",") for event in events]) == set()
        assert all(f'"identity": "{RECORDER}"' in event for event in events if '"identity"' in event)


def asking_another(history: WorkflowHistory) -> None:
    """The first step begins with a tool."""
    scheduled = next(
        event.activity_task_scheduled_event_attributes
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    )
    assert scheduled.activity_type.name == ModelSteps.call_model.__name__
    scheduled.activity_type.name = ToolSteps.run_tool.__name__


def writing_another(history: WorkflowHistory) -> None:
    """Where the run paused, it ended."""
    written = next(
        event.marker_recorded_event_attributes.details["data"].payloads[0]
        for event in history.events
        if event.HasField("marker_recorded_event_attributes")
    )
    pause, end = LifecycleSteps.pause_run.__name__.encode(), LifecycleSteps.finish_run.__name__.encode()
    assert pause in written.data
    written.data = written.data.replace(pause, end)


@pytest.mark.parametrize("changed", [asking_another, writing_another])
async def test_a_history_that_other_code_has_made_is_refused(
    replayer: Replayer, changed: Callable[[WorkflowHistory], None]
) -> None:
    history = load(execution_files("approved_and_edited")[0])
    changed(history)
    with pytest.raises(NondeterminismError):
        await replayer.replay_workflow(history)


async def test_a_model_call_that_timed_out_for_good_ends_its_run(replayer: Replayer) -> None:
    history = load(execution_files("failed_model")[0])
    for event in history.events:
        if event.HasField("activity_task_failed_event_attributes"):
            failed = event.activity_task_failed_event_attributes
            timeout = TimeoutFailureInfo(timeout_type=TimeoutType.TIMEOUT_TYPE_HEARTBEAT)
            event.event_type = EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT
            event.activity_task_timed_out_event_attributes.CopyFrom(
                ActivityTaskTimedOutEventAttributes(
                    scheduled_event_id=failed.scheduled_event_id,
                    started_event_id=failed.started_event_id,
                    failure=Failure(message="activity Heartbeat timeout", timeout_failure_info=timeout),
                )
            )
    await replayer.replay_workflow(history)
