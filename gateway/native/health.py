"""Whether the gateway lives, and whether it can do its work."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from longrun.gateway.http.operations import Answer, Operation
from longrun.gateway.http.rendering import as_json
from longrun.gateway.service.readiness import store_answers, temporal_answers
from longrun.gateway.services import services_of
from longrun.workflows.contract.views import Availability, Health, Readiness


async def health(_request: Request) -> Response:
    """Whether the process lives; touches nothing else."""
    return as_json(Health())


async def ready(request: Request) -> Response:
    """Whether Temporal and the store answer."""
    services = services_of(request)
    temporal, store = await asyncio.gather(temporal_answers(services.client), store_answers(services.runs))
    well = temporal and store
    found = Readiness(status="ready" if well else "not_ready", temporal=_state(temporal), store=_state(store))
    return as_json(found, 200 if well else 503, {} if well else {"Retry-After": "2"})


def _state(answers: bool) -> Availability:  # noqa: FBT001 - what was found out
    return "ok" if answers else "unavailable"


OPERATIONS = (
    Operation("GET", "/api/health", health, "Liveness", (Answer(200, "It lives", Health),)),
    Operation(
        "GET",
        "/api/ready",
        ready,
        "Readiness",
        (Answer(200, "All is there", Readiness), Answer(503, "Something is unavailable", Readiness)),
    ),
)
