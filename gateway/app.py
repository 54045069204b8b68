"""The HTTP application: declares the routes, wires the services, opens and closes what they hold."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypedDict

from starlette.applications import Starlette
from temporalio.client import Client

from longrun.gateway.history.rebuilder import Rebuilder
from longrun.gateway.http import problems
from longrun.gateway.native.routes import native_routes
from longrun.gateway.reconcile.reconciler import Reconciler
from longrun.gateway.service.runs import RunService
from longrun.gateway.services import Services
from longrun.gateway.streaming.hub import Hub
from longrun.gateway.streaming.tail import Tail
from longrun.runtime.settings import Settings
from longrun.runtime.temporal import RETRIES, temporal_connection
from longrun.store.agents import Agents
from longrun.store.approvals import Approvals
from longrun.store.attempts import Attempts
from longrun.store.blobs import Blobs
from longrun.store.db.database import Database
from longrun.store.db.schema import migrate
from longrun.store.log import LogReader
from longrun.store.messages import Messages
from longrun.store.notify.datagrams import DatagramListener, DatagramNotifier
from longrun.store.notify.postgres import NotifyListener
from longrun.store.outbox import Outbox
from longrun.store.runs import Runs


class State(TypedDict):
    """What every request carries; ``services_of`` reads it."""

    services: Services


def create_app(settings: Settings | None = None) -> Starlette:
    """The gateway, ready to be served.

    Args:
        settings: By default from the environment.
    """
    chosen = settings or Settings()

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[State]:
        async with _running(chosen) as services:
            yield State(services=services)

    return Starlette(routes=native_routes(), exception_handlers=problems.HANDLERS, lifespan=lifespan)


@asynccontextmanager
async def _running(settings: Settings) -> AsyncGenerator[Services]:
    settings.home.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(migrate, settings.database)
    notifier = DatagramNotifier(settings.notify_folder)
    database = Database(settings.database, notifier)
    services = await _connect(settings, database)
    listeners = _listeners(settings, services)
    for listener in listeners:
        listener.start()
    reconciler = Reconciler(services.service, services.runs, Outbox(database), services.rebuilder, services.hub.watched)
    tasks = [asyncio.create_task(services.hub.serve()), asyncio.create_task(reconciler.serve())]
    try:
        yield services
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listener in listeners:
            listener.close()
        await database.aclose()
        notifier.close()


def _listeners(settings: Settings, services: Services) -> list[DatagramListener | NotifyListener]:
    """Who hears of news: from this machine's processes, and from others through the database that they share."""
    near = DatagramListener(settings.notify_folder, services.hub.notify)
    return [near] if services.database.is_sqlite else [near, NotifyListener(settings.database, services.hub.notify)]


async def _connect(settings: Settings, database: Database) -> Services:
    client = await Client.connect(**temporal_connection(), lazy=True, retry_config=RETRIES)
    log = LogReader(database)
    runs = Runs(database)
    approvals = Approvals(database)
    rebuilder = Rebuilder(client, database, runs, log)
    hub = Hub(log)
    return Services(
        settings=settings,
        client=client,
        database=database,
        hub=hub,
        tail=Tail(log, hub, rebuilder.repair),
        runs=runs,
        agents=Agents(database),
        approvals=approvals,
        attempts=Attempts(database),
        blobs=Blobs(database),
        messages=Messages(database),
        log=log,
        service=RunService(client, settings.task_queue, runs, approvals, Outbox(database)),
        rebuilder=rebuilder,
    )
