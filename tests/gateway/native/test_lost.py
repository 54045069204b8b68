"""A run that Temporal has forgotten is read from the store; what the store has lost too is said to be gone."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from longrun.client import ApiError, AsyncClient
from longrun.runtime.ids import new_id
from longrun.store.db.database import Tx
from tests.build import Stores
from tests.dev_server import dev_server
from tests.harness import until
from tests.provider_fake import call, turn
from tests.running import Front, running
from tests.tools import TOOLS

pytestmark = pytest.mark.server

AGENT = {"model": "scripted/x", "tools": ["pay"]}


AT_ONCE = dict.fromkeys(
    ("history.transferProcessorEnsureCloseBeforeDelete", "history.visibilityProcessorEnsureCloseBeforeDelete"), False
)
"""Lets the server delete what has just ended; else it looks again half a minute later."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with dev_server(tmp_path_factory.mktemp("temporal"), **AT_ONCE) as address:
        yield address


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def front(temporal: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    folder = tmp_path_factory.mktemp("lost")
    async with running(temporal, folder, says=lambda _: turn("May I?", call("c1", "pay")), tools=TOOLS) as front:
        yield front


async def forget(address: str, run_id: str) -> None:
    """Let Temporal forget a run, as it does when the time is over for which it keeps histories."""
    client = await Client.connect(address)
    await until(partial(_forgotten, client, run_id), "Temporal to forget the run", 50)


async def _forgotten(client: Client, run_id: str) -> bool:
    """Delete a workflow. Temporal does so later, and not while it is still busy with the workflow's end."""
    execution = WorkflowExecution(workflow_id=run_id)
    request = DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
    try:
        await client.workflow_service.delete_workflow_execution(request)
    except RPCError as error:
        return error.status == RPCStatusCode.NOT_FOUND
    return False


async def lose(front: Front, run_id: str, upto: int) -> None:
    """Let the store lose the beginning of a run's log."""

    def job(tx: Tx) -> None:
        tx.exec_driver_sql("DELETE FROM segments WHERE run_id = ? AND first_seq <= ?", (run_id, upto))

    stores = Stores.over(front.settings.database)
    try:
        await stores.database.write(job)
    finally:
        await stores.database.aclose()


async def cancelled(front: Front) -> str:
    """A run that is over."""
    run_id = (await front.start(AGENT))["id"]
    await front.waiting(run_id)
    await front.http.post(f"/api/runs/{run_id}/cancel", json={})
    await front.ended(run_id)
    return run_id


async def test_a_run_that_temporal_has_forgotten_is_read_from_the_store(front: Front, temporal: str) -> None:
    run_id = await cancelled(front)
    run, frames = await front.run(run_id), await front.frames(run_id)
    await forget(temporal, run_id)
    assert await front.run(run_id) == run
    assert await front.frames(run_id) == frames
    page = (await front.http.get(f"/api/runs/{run_id}/events")).json()
    assert ([event["seq"] for event in page["events"]], page["done"]) == ([seq for seq, _, _ in frames], True)


async def test_what_store_and_temporal_have_lost_is_gone_and_the_rest_can_be_read(front: Front, temporal: str) -> None:
    run_id = await cancelled(front)
    run, frames = await front.run(run_id), await front.frames(run_id)
    await forget(temporal, run_id)
    await lose(front, run_id, 2)
    for path in ("stream", "events"):
        refused = await front.http.get(f"/api/runs/{run_id}/{path}")
        assert refused.status_code == 410
        assert refused.headers["content-type"] == "application/problem+json"
        first = refused.json()["first"]
        assert refused.json()["detail"] == (
            f"events before seq {first} are gone: the store has lost them, and Temporal does not keep them (any more)"
        )
        assert await front.frames(run_id, f"?starting_after={first - 1}") == frames[first - 1 :]
    assert await front.run(run_id) == run


async def test_a_log_that_is_lost_as_a_whole_is_gone(front: Front, temporal: str) -> None:
    run_id = await cancelled(front)
    last = (await front.frames(run_id))[-1][0]
    await forget(temporal, run_id)
    await lose(front, run_id, last)
    refused = await front.http.get(f"/api/runs/{run_id}/stream")
    assert (refused.status_code, refused.json()["first"]) == (410, last + 1)


async def test_whoever_waits_for_events_that_are_gone_is_told_when_the_run_is_over(front: Front, temporal: str) -> None:
    run_id = (await front.start(AGENT))["id"]
    await front.waiting(run_id)
    await forget(temporal, run_id)
    await lose(front, run_id, 2)
    async with AsyncClient(front.base_url) as client, asyncio.timeout(20):
        with pytest.raises(ApiError, match="are gone") as refused:
            async for _ in client.stream_run(run_id):
                pass
    assert refused.value.status == 410
    run = await front.run(run_id)
    assert (run["status"], run["stop_reason"]) == ("failed", "terminated")
    assert "does not know the run's workflow any more" in run["error"]["message"]


async def test_a_run_that_nobody_knows_any_more_is_not_found_and_the_answer_says_who_was_asked(front: Front) -> None:
    refused = await front.http.get(f"/api/runs/{new_id()}")
    assert refused.status_code == 404
    assert "neither the store nor Temporal knows it" in refused.json()["detail"]
