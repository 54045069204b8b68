"""``longrun setup`` on a Temporal server that is somebody's own, and what happens with another one than the store's."""

import asyncio
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from rich.console import Console
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client

from longrun.cli.doctor import Finding, check_temporal
from longrun.cli.setup import RefusedError, SetupOptions, set_up
from longrun.dev.temporal.find import TemporalFinder
from longrun.runtime.ids import new_id
from longrun.runtime.settings import Settings
from longrun.runtime.temporal import WrongTemporalError
from longrun.workflows.search_attributes import ATTRIBUTES
from tests.build import Stores, order
from tests.dev_server import take_port
from tests.harness import until
from tests.running import environment, serving

pytestmark = pytest.mark.server

ELSEWHERE = "cluster another, namespace default one"


@pytest.fixture
def namespace(temporal: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a namespace that is not there."""
    name = f"own-{new_id()}"
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", name)
    return name


async def said(options: SetupOptions, home: Path) -> str:
    """What the command prints."""
    out = StringIO()
    await set_up(options, Settings(home=home), Console(file=out, width=200))
    return out.getvalue()


async def until_known(options: SetupOptions, home: Path) -> str:
    """What the command prints once all of Temporal knows a namespace that was just made."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await said(options, home)
            except RefusedError:
                await asyncio.sleep(0.2)


async def test_a_namespace_is_prepared_as_often_as_one_likes(temporal: str, namespace: str, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="--create makes it"):
        await said(SetupOptions(), tmp_path)
    first = await until_known(SetupOptions(create=True), tmp_path)
    names = sorted(each.name for each in ATTRIBUTES)
    assert f"search attributes: registered {', '.join(names)}" in first or "search attributes: there" in first
    again = await until_known(SetupOptions(create=True), tmp_path)
    assert "search attributes: there" in again
    assert "made the namespace" not in again
    assert "the store belongs to cluster " in again
    assert namespace in again


async def test_a_namespace_without_search_attributes_is_not_ready_and_the_doctor_says_why(
    temporal: str, namespace: str, tmp_path: Path
) -> None:
    with pytest.raises(RefusedError):
        await said(SetupOptions(), tmp_path)
    client = await Client.connect(temporal)
    await _make(client, namespace)

    async def lacks() -> Finding | None:
        finding = await check_temporal(TemporalFinder({"TEMPORAL_ADDRESS": temporal}, print))
        return finding if finding.advice == "longrun setup" else None

    finding = await until(lacks, "the doctor to miss search attributes")
    assert finding.verdict == "missing"
    assert all(each.name in finding.found for each in ATTRIBUTES)


async def _make(client: Client, namespace: str) -> None:
    kept = Duration(seconds=86_400)
    request = RegisterNamespaceRequest(namespace=namespace, workflow_execution_retention_period=kept)
    await client.workflow_service.register_namespace(request)


async def bound_elsewhere(home: Path) -> Settings:
    """A store of runs that are in another Temporal."""
    settings = Settings(home=home, task_queue=f"test-{new_id()}")
    out = StringIO()
    await set_up(SetupOptions(), settings, Console(file=out))
    stores = Stores.over(settings.database)
    try:
        await stores.bindings.rebind(ELSEWHERE)
    finally:
        await stores.database.aclose()
    return settings


@pytest.fixture
def address(temporal: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A Temporal that answers."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal)
    return temporal


async def test_a_store_is_bound_anew_only_if_that_is_asked_for(address: str, tmp_path: Path) -> None:
    settings = await bound_elsewhere(tmp_path)
    with pytest.raises(WrongTemporalError, match="longrun setup --rebind"):
        await said(SetupOptions(), tmp_path)
    assert "the store belongs to cluster" in await said(SetupOptions(rebind=True), settings.home)
    await said(SetupOptions(), tmp_path)


@pytest.mark.parametrize("command", [["longrun.cli.main", "gateway"], ["longrun.cli.main", "worker"]])
async def test_a_process_refuses_to_serve_with_another_temporal(
    address: str, tmp_path: Path, command: Sequence[str]
) -> None:
    settings = await bound_elsewhere(tmp_path)
    with environment(LONGRUN_HOME=str(settings.home), LONGRUN_PORT=str(take_port())):
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *command), stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
    _, error = await child.communicate()
    assert child.returncode == 2
    assert len(error.decode().splitlines()) == 1
    assert ELSEWHERE in error.decode()


async def test_a_gateway_that_comes_upon_another_temporal_ends_no_run_and_believes_nothing(
    address: str, tmp_path: Path
) -> None:
    settings = await bound_elsewhere(tmp_path)
    stores = Stores.over(settings.database)
    try:
        active = await stores.accept()
        await stores.runs.dispatched(active.run_id)
        async with serving(settings, address) as front:
            ready = await front.http.get("/api/ready")
            waiting = (await front.start({"model": "scripted/x"}))["id"]
            await asyncio.sleep(3)  # in which the reconciler would have ended what Temporal does not know
            runs = [await front.run(run_id) for run_id in (active.run_id, waiting)]
            unknown = await front.http.get(f"/api/runs/{order().run_id}")
            cancelled = await front.http.post(f"/api/runs/{active.run_id}/cancel", json={})
    finally:
        await stores.database.aclose()
    assert (ready.status_code, ready.json()["temporal"]) == (503, "another")
    assert [run["ended_at"] for run in runs] == [None, None]
    assert unknown.status_code == 503
    assert cancelled.status_code == 202
