"""The worker process: it serves every port, comes up with its schema and its tools, and leaves when it is told."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from longrun.activities.providers.catalog import ProviderCatalog
from longrun.activities.providers.settings import ProviderSettings
from longrun.activities.toolbox.registry import ToolboxError
from longrun.activities.worker import READY, Process, work
from longrun.runtime.ids import new_id
from longrun.runtime.settings import Settings
from longrun.workflows.contract.steps import LifecycleSteps, ModelSteps, ToolSteps
from tests.build import Stores
from tests.harness import until
from tests.patience import PATIENCE

PORTS = (ModelSteps, ToolSteps, LifecycleSteps)


@pytest.mark.server
async def test_every_port_has_its_activity_and_no_other_is_served(temporal: str, tmp_path: Path) -> None:
    client = await Client.connect(temporal, data_converter=pydantic_data_converter)
    process = Process(Settings(home=tmp_path), client, ProviderCatalog(ProviderSettings()))
    served = sorted(activity.__name__ for activity in process.activities)
    await process.aclose()
    assert served == sorted(name for port in PORTS for name in port.__abstractmethods__)


@pytest.mark.server
async def test_a_worker_comes_up_over_an_empty_folder_and_leaves_when_told(
    temporal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal)
    settings = Settings(home=tmp_path / "new" / "home", task_queue=f"longrun-{new_id()}")
    said: list[str] = []

    async def ready() -> bool:
        said.append(capsys.readouterr().out)
        return READY in "".join(said)

    working = asyncio.create_task(work(settings))
    try:
        await until(ready, "the worker")
        stores = Stores.over(settings.database)
        offered = {spec.name for spec in await stores.agents.tools()}
        await stores.database.aclose()
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await working
    finally:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    assert {"read_file", "write_file", "run_python"} <= offered


@pytest.mark.server
async def test_tools_that_cannot_be_loaded_keep_a_worker_from_coming_up(
    temporal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal)
    settings = Settings(home=tmp_path, task_queue=f"longrun-{new_id()}", tools="no_such_module")
    try:
        with pytest.raises(ToolboxError, match="the tools of no_such_module cannot be imported"):
            await work(settings)
    finally:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
