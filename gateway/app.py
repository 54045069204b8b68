"""The HTTP application: declares the routes, wires the parts, opens and closes what they hold."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypedDict

from starlette.applications import Starlette
from temporalio.client import Client

from gateway.away import RETRIES
from gateway.history.historian import Historian
from gateway.hub import Hub
from gateway.native import problems
from gateway.native.routes import native_routes
from gateway.parts import Parts
from gateway.reconcile import Reconciler
from gateway.runs import RunService
from gateway.tail import Tail
from store.agents import Agents
from store.approvals import Approvals
from store.attempts import Attempts
from store.blobs import Blobs
from store.database import Database
from store.log import LogReader
from store.messages import Messages
from store.notify import NotifyListener
from store.pokes import PokeListener, Poker
from store.runs import Runs
from store.schema import migrate
from store.settings import Settings, temporal_connection
from store.signals import Signals
from workflows import record


class State(TypedDict):
    """What every request carries; ``parts_of`` reads it."""

    parts: Parts


def create_app(settings: Settings | None = None) -> Starlette:
    """The gateway, ready to be served.

    Args:
        settings: By default from the environment.
    """
    chosen = settings or Settings()

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[State]:
        async with _running(chosen) as parts:
            yield State(parts=parts)

    return Starlette(routes=native_routes(), exception_handlers=problems.HANDLERS, lifespan=lifespan)


@asynccontextmanager
async def _running(settings: Settings) -> AsyncGenerator[Parts]:
    settings.home.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(migrate, settings.database)
    poker = Poker(settings.pokes_folder)
    database = Database(settings.database, poker)
    parts = await _connect(settings, database)
    listeners = _listeners(settings, parts)
    for listener in listeners:
        listener.start()
    reconciler = Reconciler(parts.service, parts.runs, Signals(database), parts.historian, parts.hub.watched)
    tasks = [asyncio.create_task(parts.hub.serve()), asyncio.create_task(reconciler.serve())]
    try:
        yield parts
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listener in listeners:
            listener.close()
        await database.aclose()
        poker.close()


def _listeners(settings: Settings, parts: Parts) -> list[PokeListener | NotifyListener]:
    """Who hears of news: from this machine's processes, and from others through the database that they share."""
    near = PokeListener(settings.pokes_folder, parts.hub.poke)
    return [near] if parts.database.is_sqlite else [near, NotifyListener(settings.database, parts.hub.poke)]


async def _connect(settings: Settings, database: Database) -> Parts:
    client = await Client.connect(**temporal_connection(), lazy=True, retry_config=RETRIES)
    log = LogReader(database)
    runs = Runs(database, record)
    approvals = Approvals(database, record)
    historian = Historian(client, database, runs, log)
    hub = Hub(log)
    return Parts(
        settings=settings,
        client=client,
        database=database,
        hub=hub,
        tail=Tail(log, hub, historian.repair),
        runs=runs,
        agents=Agents(database),
        approvals=approvals,
        attempts=Attempts(database),
        blobs=Blobs(database),
        messages=Messages(database),
        log=log,
        service=RunService(client, settings.task_queue, runs, approvals, Signals(database)),
        historian=historian,
    )
