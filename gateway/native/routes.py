"""The paths of the native API."""

import json
from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from longrun.gateway.http import openapi
from longrun.gateway.http.incoming import refuse_nul
from longrun.gateway.http.operations import Answer, Handler, Operation
from longrun.gateway.native import agents, approvals, health, results, runs, stream


async def describe(_request: Request) -> Response:
    """This document."""
    return Response(_document(), media_type="application/json")


OPERATIONS: tuple[Operation, ...] = (
    *agents.OPERATIONS,
    *runs.OPERATIONS,
    *stream.OPERATIONS,
    *results.OPERATIONS,
    *approvals.OPERATIONS,
    *health.OPERATIONS,
    Operation("GET", "/openapi.json", describe, "Describe the API", (Answer(200, "An OpenAPI document", dict),)),
)


@cache
def _document() -> bytes:
    return json.dumps(openapi.build(OPERATIONS)).encode()


def native_routes() -> list[Route]:
    """One route for each path, so that a wrong method is told all right ones."""
    paths: dict[str, dict[str, Handler]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = operation.handler
    return [Route(path, _dispatcher(handlers), methods=list(handlers)) for path, handlers in paths.items()]


def _dispatcher(handlers: dict[str, Handler]) -> Handler:
    async def dispatch(request: Request) -> Response:
        refuse_nul(request)
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return dispatch
