"""A run on a real Temporal server: one worker over one store, with a model that a test steps through."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from longrun.activities.providers.provider import ModelRequest
from longrun.activities.toolbox.registry import Tool, Toolbox
from longrun.activities.worker import Process
from longrun.runtime.ids import new_id
from longrun.runtime.settings import Settings
from longrun.store.db.schema import migrate
from longrun.store.db.tables import RunRow
from longrun.store.runs import Acceptance
from longrun.workflows.agent_run import AgentRun
from longrun.workflows.contract.agents import AgentSpec
from longrun.workflows.contract.events import Event, RunCompleted, RunFailed
from longrun.workflows.contract.messages import Message, TextPart
from longrun.workflows.contract.runs import Limits, Outcome, Phase, RunOrder, RunState, Snapshot
from longrun.workflows.start import start_options
from tests.build import Stores
from tests.logcheck import check_log, parsed
from tests.patience import PATIENCE, pauses
from tests.provider_fake import FakeCatalog, FakeProvider, Turn
from tests.sandbox import sandbox

Script = Callable[[ModelRequest], Turn]
T = TypeVar("T")


async def until(look: Callable[[], Awaitable[T | None]], what: str, patience: float = PATIENCE) -> T:
    """Look again and again until there is something to see."""
    try:
        async with asyncio.timeout(patience):
            for pause in pauses():
                if seen := await look():
                    return seen
                await asyncio.sleep(pause)
    except TimeoutError:
        pass
    raise AssertionError(f"waited in vain for {what}")


def order(
    *tools: Any,  # noqa: ANN401 - a tool's name, or its name with an approval
    text: str = "hello",
    thread_id: str | None = None,
    **limits: float,
) -> RunOrder:
    """A run of an agent with these tools."""
    run_id = new_id()
    spec = {"name": "helper", "model": "scripted/steps", "system": "Be brief.", "tools": list(tools)}
    return RunOrder(
        run_id=run_id,
        thread_id=thread_id or run_id,
        agent=AgentSpec.model_validate(spec),
        input=Message(id=new_id(), role="user", parts=(TextPart(text=text),)),
        limits=Limits.model_validate(limits),
        metadata={"ticket": None},
        accepted_at=datetime.now(UTC),
    )


Handle = WorkflowHandle[AgentRun, Outcome]


@dataclass(frozen=True)
class Harness:
    """What a test of a run acts on."""

    client: Client
    settings: Settings
    process: Process
    provider: FakeProvider
    stores: Stores

    async def start(self, given: RunOrder, **options: Any) -> Handle:  # noqa: ANN401 - the client's own options
        """Accept a run and start its workflow."""
        accepted = await self.stores.runs.accept(Acceptance(given))
        assert accepted.ready
        return await self.begin(given, **options)

    async def begin(self, given: RunOrder, **options: Any) -> Handle:  # noqa: ANN401 - the client's own options
        """Start the workflow of a run that was accepted."""
        return await self.client.start_workflow(
            AgentRun.run,
            RunState(order=given),
            task_queue=self.settings.task_queue,
            **start_options(given),
            **options,
        )

    def handle(self, run_id: str) -> Handle:
        """The workflow of a run."""
        return self.client.get_workflow_handle_for(AgentRun.run, run_id)

    async def phase(self, handle: Handle, *phases: Phase) -> Snapshot:
        """Wait until the run is in one of these phases."""

        async def look() -> Snapshot | None:
            try:
                seen = await handle.query(AgentRun.status)
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise
                return None  # it is about to be started
            return seen if seen.phase in phases else None

        return await until(look, f"phase {phases}")

    async def events(self, run_id: str, after: int = 0) -> list[Event]:
        """The log as it stands, superseded events included."""
        segments = await self.stores.log.page(run_id, after, 10_000)
        return parsed(line for segment in segments for line in segment.lines(after))

    async def seen(self, run_id: str, kind: str) -> Event:
        """Wait until the log has an event of this type."""

        async def look() -> Event | None:
            return next((event for event in await self.events(run_id) if event.type == kind), None)

        return await until(look, f"a {kind} event")

    async def row(self, run_id: str) -> RunRow:
        """The run's row."""
        row = await self.stores.runs.get(run_id)
        assert row is not None
        return row

    async def ended(self, handle: Handle) -> tuple[Outcome, list[Event]]:
        """Wait for the end, and check everything that must hold of it."""
        async with asyncio.timeout(PATIENCE):
            outcome = await handle.result()
        events = await self.events(handle.id)
        check_log(events)
        row, last = await self.row(handle.id), events[-1]
        assert last.type == f"run.{outcome.status}"
        assert (row.status, row.stop_reason) == (outcome.status, outcome.stop_reason)
        if isinstance(last, RunCompleted | RunFailed):
            assert last.stop_reason == outcome.stop_reason
        return outcome, events


@asynccontextmanager
async def harnessed(
    address: str,
    home: Path,
    script: Script,
    tools: Sequence[Tool] = (),
    **options: Any,  # noqa: ANN401 - Worker's own
) -> AsyncGenerator[Harness]:
    """A harness with a worker that serves it.

    Args:
        address: The Temporal server's.
        home: The data folder.
        script: What the model says.
        tools: The tools there are.
        options: Of the worker.
    """
    async with unserved(address, home, script, tools) as harness, worker(harness, **options):
        yield harness


@asynccontextmanager
async def unserved(address: str, home: Path, script: Script, tools: Sequence[Tool] = ()) -> AsyncGenerator[Harness]:
    """A harness whose worker the test starts itself."""
    settings = Settings(home=home, task_queue=f"test-{new_id()}")
    migrate(settings.database)
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    provider = FakeProvider(script)
    process = Process(settings, client, FakeCatalog(provider), Toolbox(tools))
    stores = Stores.over(settings.database)
    try:
        async with process.attended():
            yield Harness(client, settings, process, provider, stores)
    finally:
        await process.aclose()
        await stores.database.aclose()


def worker(harness: Harness, **options: Any) -> Worker:  # noqa: ANN401 - Worker's own
    """A worker like the process's own, which a test can end."""
    options.setdefault("activities", harness.process.activities)
    return Worker(
        harness.client,
        task_queue=harness.settings.task_queue,
        workflows=[AgentRun],
        workflow_runner=sandbox(),
        max_heartbeat_throttle_interval=timedelta(seconds=0.2),
        default_heartbeat_throttle_interval=timedelta(seconds=0.2),
        **options,
    )
