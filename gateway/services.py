"""What the gateway is made of, for the doors that use it."""

from dataclasses import dataclass

from starlette.requests import Request
from temporalio.client import Client

from longrun.gateway.history.rebuilder import Rebuilder
from longrun.gateway.service.runs import RunService
from longrun.gateway.streaming.hub import Hub
from longrun.gateway.streaming.tail import Tail
from longrun.runtime.settings import Settings
from longrun.store.agents import Agents
from longrun.store.approvals import Approvals
from longrun.store.attempts import Attempts
from longrun.store.blobs import Blobs
from longrun.store.db.database import Database
from longrun.store.log import LogReader
from longrun.store.messages import Messages
from longrun.store.runs import Runs


@dataclass(frozen=True)
class Services:
    """The services, wired; a request finds them by ``services_of``."""

    settings: Settings
    client: Client
    database: Database
    hub: Hub
    tail: Tail
    runs: Runs
    agents: Agents
    approvals: Approvals
    attempts: Attempts
    blobs: Blobs
    messages: Messages
    log: LogReader
    service: RunService
    rebuilder: Rebuilder


def services_of(request: Request) -> Services:
    """The services of the gateway that got this request, as its lifespan left them."""
    return request.state.services
