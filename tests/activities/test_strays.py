"""A call that has not reached its worker is given out anew; one that has is left alone."""

from pathlib import Path

import pytest
from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollActivityTaskQueueRequest
from temporalio.testing import ActivityEnvironment

from longrun.activities import strays
from longrun.activities.in_flight import InFlight
from longrun.activities.providers.provider import ModelRequest
from tests.harness import Harness, order, unserved, worker
from tests.provider_fake import Turn, turn


def hello(request: ModelRequest) -> Turn:
    return turn("Hello.")


async def given_to_nobody(harness: Harness) -> None:
    """Take the next activity from the queue in the worker's name, and do nothing about it."""
    request = PollActivityTaskQueueRequest(
        namespace=harness.client.namespace,
        task_queue=TaskQueue(name=harness.settings.task_queue, kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL),
        identity=harness.process.name,
    )
    found = await harness.client.workflow_service.poll_activity_task_queue(request)
    assert found.task_token


@pytest.mark.server
async def test_a_call_that_has_not_reached_its_worker_is_given_out_anew(
    temporal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strays, "LOOK", 0.1)
    monkeypatch.setattr(strays, "LATE", 0.1)
    async with unserved(temporal, tmp_path, hello) as harness:
        async with worker(harness, activities=[]):
            handle = await harness.start(order())
            await harness.stores.runs.dispatched(handle.id)
            await given_to_nobody(harness)
        async with worker(harness):
            await harness.ended(handle)
        history = await handle.fetch_history()
    started = [event.activity_task_started_event_attributes for event in history.events]
    assert "it has never reached its worker" in [attributes.last_failure.message for attributes in started]


async def test_a_worker_knows_the_calls_that_have_reached_it_until_they_end() -> None:
    in_flight = InFlight("worker")
    info = ActivityEnvironment.default_info()
    known: list[bool] = []

    async def call() -> None:
        with in_flight.received():
            known.append(in_flight.knows(str(info.workflow_id), info.activity_id))
            known.append(in_flight.knows("another", info.activity_id))

    await ActivityEnvironment().run(call)
    assert known == [True, False]
    assert not in_flight.knows(str(info.workflow_id), info.activity_id)
