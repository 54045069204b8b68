"""The worker process: puts the parts together and serves the task queue."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import PollerBehaviorAutoscaling, UnsandboxedWorkflowRunner, Worker

from longrun.activities import strays
from longrun.activities.answering import cancel_answer
from longrun.activities.failures import ProviderFailure
from longrun.activities.identity import new_worker_name
from longrun.activities.in_flight import InFlight
from longrun.activities.lifecycle import LifecycleActivities
from longrun.activities.model import Catalog, ModelActivities
from longrun.activities.providers.catalog import ProviderCatalog
from longrun.activities.providers.settings import ProviderSettings
from longrun.activities.strays import Strays
from longrun.activities.toolbox.registry import Toolbox
from longrun.activities.tools import ToolActivities
from longrun.activities.worker_log import configure_log
from longrun.runtime import collector, open_files
from longrun.runtime.clock import now
from longrun.runtime.hosts import load_hosts
from longrun.runtime.plain import PlainError
from longrun.runtime.settings import Settings
from longrun.runtime.temporal import (
    RPC_TIMEOUT,
    answered,
    give_back,
    give_back_of,
    give_back_unreceived,
    identity_of,
    temporal_connection,
)
from longrun.store.agents import Agents
from longrun.store.approvals import Approvals
from longrun.store.attempts import Attempts
from longrun.store.bindings import Bindings
from longrun.store.blobs import Blobs
from longrun.store.calls import Calls
from longrun.store.db.database import Database
from longrun.store.db.schema import migrate
from longrun.store.leases.takeover import Takeover
from longrun.store.leases.where import lease_in, leases_in
from longrun.store.messages import Messages
from longrun.store.notify.datagrams import DatagramNotifier
from longrun.store.runs import Runs
from longrun.store.steps import Steps
from longrun.workflows.agent_run import AgentRun
from longrun.workflows.contract.runs import RunOrder
from longrun.workflows.contract.shape import Shape
from longrun.workflows.start import start_run

logger = logging.getLogger(__name__)

READY = "longrun worker ready"
MOST_CALLS = 4000
"""Calls that a worker has in flight at most; the next one waits at Temporal for a free worker."""
MOST_CACHED = 500
"""Runs that a worker keeps in memory, about 150 kB each; another one is replayed from its history when it goes on."""


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
        self._notifier = DatagramNotifier(settings.notify_folder)
        self._database = Database(settings.database, self._notifier)
        self._catalog = catalog
        self._agents = Agents(self._database)
        self._client = client
        self._in_flight = InFlight(new_worker_name())
        self._lease = lease_in(self._database, self._in_flight.worker)
        self._queue = settings.task_queue
        self._grace = timedelta(seconds=settings.grace)
        self._runs = Runs(self._database)
        calls = Calls(self._database)
        blobs = Blobs(self._database)
        model = ModelActivities(
            self._catalog,
            self._toolbox,
            self._runs,
            Steps(self._database, settings.most_lost_workers),
            Messages(self._database),
            blobs=blobs,
            in_flight=self._in_flight,
            may_loosen=settings.may_loosen,
        )
        workspace = settings.workspace_folder
        tools = ToolActivities(self._toolbox, self._runs, calls, workspace, blobs=blobs, in_flight=self._in_flight)
        approvals = Approvals(self._database)
        lifecycle = LifecycleActivities(self._runs, calls, approvals, self._start, self._cancel, blobs=blobs)
        self.activities: tuple[Callable[..., Awaitable[Shape | None]], ...] = (
            model.call_model,
            tools.run_tool,
            lifecycle.answer_calls,
            lifecycle.pause_run,
            lifecycle.record_verdicts,
            lifecycle.note_ignored,
            lifecycle.note_stopping,
            lifecycle.finish_run,
        )

    @property
    def name(self) -> str:
        """The worker's name, at Temporal and in the attempts of calls."""
        return self._in_flight.worker

    def _takeover(self) -> Takeover:
        """The watch over other workers."""
        by_token, by_run = partial(give_back, self._client), partial(give_back_of, self._client)
        return Takeover(self._database, leases_in(self._database), by_token, by_run, own=self.name)

    def _strays(self) -> Strays:
        """The watch over calls that have not reached this worker."""

        async def give_back_unknown(run_id: str) -> None:
            received = partial(self._in_flight.knows, run_id)
            await give_back_unreceived(self._client, run_id, self.name, received, timedelta(seconds=strays.LATE))

        return Strays(Attempts(self._database).unheld, give_back_unknown)

    async def _start(self, order: RunOrder) -> None:
        """Start the next run of a thread; a gateway starts it if Temporal refuses now."""
        try:
            await start_run(self._client, order, self._queue, RPC_TIMEOUT)
            await self._runs.dispatched(order.run_id)
        except RPCError as error:
            logger.warning("run %s is left to a gateway: %s", order.run_id, error.message)

    async def _cancel(self, model: str, response_id: str) -> None:
        """Cancel an answer, if this worker has the key of its provider."""
        try:
            provider, _ = await self._catalog.load(model)
        except ProviderFailure as failure:
            logger.warning("%s cannot be cancelled here: %s", response_id, failure)
        else:
            await cancel_answer(provider, response_id)

    def _worker(self) -> Worker:
        return Worker(
            self._client,
            identity=self.name,
            task_queue=self._queue,
            workflows=[AgentRun],
            activities=self.activities,
            # A sandbox costs each run a tenth of its CPU and its own copy of a module. The tests run in it, and the
            # import rules keep from the workflow what it would forbid.
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_concurrent_activities=MOST_CALLS,
            max_cached_workflows=MOST_CACHED,
            graceful_shutdown_timeout=self._grace,
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
            max_heartbeat_throttle_interval=timedelta(seconds=0.5),
            default_heartbeat_throttle_interval=timedelta(seconds=0.5),
            workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
            activity_task_poller_behavior=PollerBehaviorAutoscaling(),
        )

    async def serve(self, stop: asyncio.Event) -> None:
        """Offer the tools and work until ``stop`` is set.

        Raises:
            WrongTemporalError: The store belongs to another Temporal.
            TemporalUnavailableError: Temporal did not answer.
            StoreUnavailableError: The store failed.
        """
        await Bindings(self._database).check(await identity_of(self._client))
        await self._agents.offer_tools(self._toolbox.specs(), now())
        async with self.attended(), self._worker():
            print(READY, flush=True)  # noqa: T201 - whoever started this process waits for the line
            await stop.wait()

    @asynccontextmanager
    async def attended(self) -> AsyncGenerator[None]:
        """Hold the lease of this worker while it works, watch those of others, and look for runs that stop."""
        await asyncio.to_thread(self._lease.hold)
        watches = [self._takeover().serve(), self._strays().serve(), self._in_flight.watch(self._runs.stopping)]
        tasks = [asyncio.create_task(watch) for watch in watches]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(self._lease.release)

    async def aclose(self) -> None:
        """Close what is open."""
        await self._catalog.aclose()
        await self._database.aclose()
        self._notifier.close()


async def work(settings: Settings) -> None:
    """Run a worker until SIGINT or SIGTERM.

    Raises:
        ToolboxError: The tools cannot be loaded.
        HostsError: The file that names hosts of models cannot be used.
        TemporalUnavailableError: Temporal did not answer.
        StoreUnavailableError: The store failed.
        PlainError: The workspace is no folder.
    """
    catalog = ProviderCatalog(ProviderSettings(), load_hosts(settings.providers))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    settings.home.mkdir(parents=True, exist_ok=True)
    _make_workspace(settings.workspace_folder)
    await asyncio.to_thread(migrate, settings.database)
    with answered():
        client = await Client.connect(**temporal_connection())
    async with aclosing(Process(settings, client, catalog)) as process:
        collector.settle()
        await process.serve(stop)


def _make_workspace(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlainError(f"LONGRUN_WORKSPACE: {folder} cannot be made a folder: {error.strerror}") from error


def main() -> None:
    """The command ``longrun worker``."""
    configure_log()
    open_files.raise_limit()
    # While a model's chunks are parsed, a commit waits this long for each of its statements; the default is 5 ms.
    sys.setswitchinterval(0.001)
    try:
        asyncio.run(work(Settings()))
    except PlainError as error:
        print(f"longrun: {error}", file=sys.stderr)  # noqa: T201 - whoever started this process reads it
        sys.exit(2)


if __name__ == "__main__":
    main()
