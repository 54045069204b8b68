"""The paths of the native API."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.native import agents, approvals, health, runs, stream
from gateway.native.operations import Handler, Operation

OPERATIONS: tuple[Operation, ...] = (
    *agents.OPERATIONS,
    *runs.OPERATIONS,
    *stream.OPERATIONS,
    *approvals.OPERATIONS,
    *health.OPERATIONS,
)


def native_routes() -> list[Route]:
    """One route for each path, so that a wrong method is told all right ones."""
    paths: dict[str, dict[str, Handler]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = operation.handler
    return [Route(path, _dispatcher(handlers), methods=list(handlers)) for path, handlers in paths.items()]


def _dispatcher(handlers: dict[str, Handler]) -> Handler:
    async def dispatch(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return dispatch
