"""What the gateway is made of, for the doors that use it."""

from dataclasses import dataclass

from starlette.requests import Request
from temporalio.client import Client

from gateway.history.historian import Historian
from gateway.hub import Hub
from gateway.runs import RunService
from gateway.tail import Tail
from store.agents import Agents
from store.approvals import Approvals
from store.attempts import Attempts
from store.blobs import Blobs
from store.database import Database
from store.log import LogReader
from store.messages import Messages
from store.runs import Runs
from store.settings import Settings


@dataclass(frozen=True)
class Parts:
    """The parts, wired; a request finds them by ``parts_of``."""

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
    historian: Historian


def parts_of(request: Request) -> Parts:
    """The parts of the gateway that got this request, as its lifespan left them."""
    return request.state.parts
