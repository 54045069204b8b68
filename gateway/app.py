"""The HTTP application: declares the routes, wires the services, opens and closes what they hold."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypedDict
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from temporalio.client import Client

from longrun.gateway.history.gate import Gate
from longrun.gateway.history.rebuilder import Rebuilder
from longrun.gateway.http.caller import Caller
from longrun.gateway.http.keys import KeysRequired
from longrun.gateway.http.safe_headers import SafeHeaders
from longrun.gateway.http.slow_bodies import SlowBodiesRefused
from longrun.gateway.http.strangers import StrangersRefused
from longrun.gateway.native.problems import PROBLEMS
from longrun.gateway.native.routes import PUBLIC, native_routes
from longrun.gateway.reconcile.reconciler import Reconciler
from longrun.gateway.service.agents import AgentService
from longrun.gateway.service.decisions import Decisions
from longrun.gateway.service.delivery import Delivery
from longrun.gateway.service.readiness import ReadinessProbe
from longrun.gateway.service.run_reader import RunReader
from longrun.gateway.service.runs import RunService
from longrun.gateway.service.vitals import Vitals
from longrun.gateway.service.workflows import Workflows, connect
from longrun.gateway.services import Services
from longrun.gateway.streaming.hub import Hub
from longrun.gateway.streaming.logs import Logs
from longrun.gateway.streaming.tail import Tail
from longrun.runtime.hosts import load_hosts
from longrun.runtime.settings import Settings
from longrun.runtime.temporal import RETRIES, give_back, give_back_of
from longrun.store.agents import Agents
from longrun.store.approvals import Approvals
from longrun.store.attempts import Attempts
from longrun.store.bindings import Bindings
from longrun.store.blobs import Blobs
from longrun.store.db.database import Database
from longrun.store.db.schema import migrate
from longrun.store.leases.takeover import Takeover
from longrun.store.leases.where import leases_in
from longrun.store.log_reader import LogReader
from longrun.store.notify.datagrams import DatagramListener, DatagramNotifier
from longrun.store.notify.postgres import NotifyListener
from longrun.store.outbox import Outbox
from longrun.store.runs import Runs

_FROM_PAGES = ("Authorization", "Idempotency-Key", "Last-Event-ID", "X-Api-Key")
_TO_PAGES = ("Content-Location", "Location", "Retry-After", "WWW-Authenticate", "X-Run-Id")
"""The headers that pages of allowed origins may send and read."""


class State(TypedDict):
    """What every request carries."""

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

    of_no_path = {HTTPException: PROBLEMS.render, Exception: PROBLEMS.render}
    guards = _guards(chosen)
    app = Starlette(routes=native_routes(), middleware=guards, exception_handlers=of_no_path, lifespan=lifespan)
    app.router.redirect_slashes = False  # the routes themselves pass over a slash at the end
    return app


def _guards(settings: Settings) -> list[Middleware]:
    """What every request goes through, the first one first."""
    hosts = (*_listed(settings.allowed_hosts), settings.host, urlsplit(settings.url).hostname or settings.host)
    origins = tuple(each.lower().rstrip("/") for each in _listed(settings.allowed_origins))
    guards = [
        Middleware(SafeHeaders),
        Middleware(StrangersRefused, hosts=hosts, origins=origins, refuse=PROBLEMS.render),
    ]
    if origins:  # a preflight brings no key, and a page may read why it is refused
        guards.append(
            Middleware(
                CORSMiddleware,
                allow_origins=origins,
                allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
                allow_headers=_FROM_PAGES,
                expose_headers=_TO_PAGES,
            )
        )
    if keys := {key.secret: Caller(key.holder) for key in settings.keys}:
        guards.append(Middleware(KeysRequired, keys=keys, public=PUBLIC, refuse=PROBLEMS.render))
    return [*guards, Middleware(SlowBodiesRefused, seconds=settings.receive_timeout)]


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())


@asynccontextmanager
async def _running(settings: Settings) -> AsyncGenerator[Services]:
    settings.home.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(migrate, settings.database)
    notifier = DatagramNotifier(settings.notify_folder)
    database = Database(settings.database, notifier)
    client = await connect(RETRIES)
    gate = Gate(client, Bindings(database).check)
    services, hub, reconciler = _wire(settings, database, client, gate)
    near = DatagramListener(settings.notify_folder, hub.notify)
    near.start()
    takeover = _takeover(database, client, gate)
    vital = {
        "the streams' news": hub.serve,
        "the reconciler": reconciler.serve,
        "the watch over workers": takeover.serve,
    }
    if not database.is_sqlite:  # other machines may write to it
        vital["the database's notices"] = NotifyListener(settings.database, hub.notify).serve
    tasks = [asyncio.create_task(services.vitals.keep(name, serve)) for name, serve in vital.items()]
    try:
        yield services
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        near.close()
        await database.aclose()
        notifier.close()


def _takeover(database: Database, client: Client, gate: Gate) -> Takeover:
    """The watch over workers, who are followed at the Temporal that has the runs of this store and at no other."""

    async def back(token: bytes) -> None:
        await gate.passed()
        await give_back(client, token)

    async def back_of(run_id: str, worker: str) -> None:
        await gate.passed_again()
        await give_back_of(client, run_id, worker)

    return Takeover(database, leases_in(database), back, back_of)


def _wire(settings: Settings, database: Database, client: Client, gate: Gate) -> tuple[Services, Hub, Reconciler]:
    workflows = Workflows(client, gate)
    log, runs, approvals = LogReader(database), Runs(database), Approvals(database)
    rebuilder = Rebuilder(client, database, runs, log, gate)
    hub, agents = Hub(log), Agents(database)
    delivery = Delivery(workflows, runs, Outbox(database))
    service = RunService(workflows, settings.task_queue, runs, delivery)
    services = Services(
        settings=settings,
        agents=AgentService(agents, load_hosts(settings.providers)),
        runs=service,
        reader=RunReader(runs, approvals, Attempts(database), Blobs(database), rebuilder),
        decisions=Decisions(approvals, delivery, log, hub, agents),
        logs=Logs(log, Tail(log, hub, rebuilder.repair), settings.keep_alive),
        probe=ReadinessProbe(workflows, runs, settings.task_queue),
        vitals=Vitals(),
    )
    return services, hub, Reconciler(service, runs, delivery, rebuilder, hub.watched)
