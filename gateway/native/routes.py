"""The paths of the native API."""

import json
from functools import cache

from starlette.responses import Response
from starlette.routing import Route

from longrun.gateway.http import openapi
from longrun.gateway.http.door import routes
from longrun.gateway.http.operations import Answer, Operation, Operations
from longrun.gateway.native import agents, approvals, health, results, runs, stream
from longrun.gateway.native.problems import PROBLEMS
from longrun.gateway.services import Services

INFO = openapi.Info(
    title="longrun",
    version="1",
    description="Start runs of LLM agents, follow them from any position, decide on the calls that wait for a person. "
    "A run's log is one dense sequence of events; `seq` is the cursor everywhere. Every error is a problem document "
    "(RFC 9457) that names the wrong fields.",
)
_own = Operations("server")


@_own.get("/openapi.json", Answer(200, "An OpenAPI document", dict))
async def describe(_services: Services) -> Response:
    """Describe the API.

    This document.
    """
    return Response(_document(), media_type="application/json")


OPERATIONS: tuple[Operation, ...] = (
    *agents.operations,
    *runs.operations,
    *stream.operations,
    *results.operations,
    *approvals.operations,
    *health.operations,
    *_own,
)


PUBLIC = tuple(operation.path for operation in OPERATIONS if operation.public)
"""The paths of what needs no key."""


@cache
def _document() -> bytes:
    return json.dumps(openapi.build(INFO, OPERATIONS, PROBLEMS)).encode()


def native_routes() -> list[Route]:
    """The routes of the native API."""
    return routes(OPERATIONS, PROBLEMS)
