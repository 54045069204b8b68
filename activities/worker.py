"""The worker process: puts the parts together and serves the task queue."""

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import SandboxImportNotificationPolicy

from activities.answering import cancel_answer
from activities.lifecycle import LifecycleActivities
from activities.model import Catalog, ModelActivities
from activities.providers.catalog import ProviderCatalog
from activities.providers.settings import ProviderSettings
from activities.toolbox.registry import Toolbox
from activities.tools import ToolActivities
from store.agents import Agents
from store.approvals import Approvals
from store.calls import Calls
from store.clock import now
from store.database import Database
from store.messages import Messages
from store.pokes import Poker
from store.runs import Runs
from store.schema import migrate
from store.settings import Settings, temporal_connection
from store.steps import Steps
from workflows import record
from workflows.agent_run import AgentRun
from workflows.contract.runs import RunOrder, RunState
from workflows.contract.shape import Shape
from workflows.start import start_options

READY = "longrun worker ready"
PURE = (
    "workflows.attributes",
    "workflows.contract",
    "workflows.deltas",
    "workflows.inbox",
    "workflows.interruption",
    "workflows.policy",
    "workflows.presets",
    "workflows.record",
    "workflows.transcript",
    "workflows.untorn",
)


def sandbox() -> SandboxedWorkflowRunner:
    """The sandbox of our workflows: an import that is not named here is an error when the worker is built."""
    strict = SandboxRestrictions.default.with_import_notification_policy(
        SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
    )
    return SandboxedWorkflowRunner(restrictions=strict.with_passthrough_modules(*PURE))


class Process:
    """Everything that a worker process holds, and the activities that it serves.

    Args:
        settings: Where things are.
        client: The connection to Temporal.
        catalog: The models; closed with the process.
        toolbox: The tools; without it ours and those that the settings name.

    Raises:
        ToolboxError: The tools that the settings name cannot be loaded; nothing is open then.
    """

    def __init__(self, settings: Settings, client: Client, catalog: Catalog, toolbox: Toolbox | None = None) -> None:
        self._toolbox = toolbox or Toolbox.load(settings.tools, allow_private_http=settings.allow_private_http)
        self._poker = Poker(settings.pokes_folder)
        self._database = Database(settings.database, self._poker)
        self._catalog = catalog
        self._agents = Agents(self._database)
        self._client = client
        self._queue = settings.task_queue
        self._grace = timedelta(seconds=settings.grace)
        self._runs = Runs(self._database, record)
        calls = Calls(self._database, record)
        model = ModelActivities(
            self._catalog, self._toolbox, self._runs, Steps(self._database, record), Messages(self._database)
        )
        tools = ToolActivities(self._toolbox, self._runs, calls, settings.workspace_folder)
        approvals = Approvals(self._database, record)
        lifecycle = LifecycleActivities(self._runs, calls, approvals, self._start, self._cancel)
        self.activities: tuple[Callable[..., Awaitable[Shape]], ...] = (
            model.call_model,
            tools.run_tool,
            lifecycle.answer_calls,
            lifecycle.pause_run,
            lifecycle.record_verdicts,
            lifecycle.finish_run,
        )

    async def _start(self, order: RunOrder) -> None:
        await self._client.start_workflow(
            AgentRun.run, RunState(order=order), task_queue=self._queue, **start_options(order)
        )
        await self._runs.dispatched(order.run_id)

    async def _cancel(self, model: str, response_id: str) -> None:
        await cancel_answer(self._catalog.resolve(model)[0], response_id)

    def _worker(self) -> Worker:
        return Worker(
            self._client,
            task_queue=self._queue,
            workflows=[AgentRun],
            activities=self.activities,
            workflow_runner=sandbox(),
            max_concurrent_activities=500,
            graceful_shutdown_timeout=self._grace,
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
            max_heartbeat_throttle_interval=timedelta(seconds=0.5),
            default_heartbeat_throttle_interval=timedelta(seconds=0.5),
            workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
            activity_task_poller_behavior=PollerBehaviorAutoscaling(),
        )

    async def serve(self, stop: asyncio.Event) -> None:
        """Offer the tools and work until ``stop`` is set."""
        await self._agents.offer_tools(self._toolbox.specs(), now())
        async with self._worker():
            print(READY, flush=True)  # noqa: T201 - whoever started this process waits for the line
            await stop.wait()

    async def aclose(self) -> None:
        """Close what is open."""
        await self._catalog.aclose()
        await self._database.aclose()
        self._poker.close()


async def work(settings: Settings) -> None:
    """Run a worker until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    settings.home.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(migrate, settings.database)
    client = await Client.connect(**temporal_connection())
    async with aclosing(Process(settings, client, ProviderCatalog(ProviderSettings()))) as process:
        await process.serve(stop)


def main() -> None:
    """The command ``longrun worker``."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line for each request to a provider is too much
    # While a model's chunks are parsed, a commit waits this long for each of its statements; the default is 5 ms.
    sys.setswitchinterval(0.001)
    sys.path.append(str(Path.cwd()))  # tools may be where the worker is started; last, so that they hide nothing
    asyncio.run(work(Settings()))


if __name__ == "__main__":
    main()
