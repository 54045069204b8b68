"""A door: the routes of the operations of one API, which share how they say that something is wrong."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import zip_longest
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from longrun.gateway.http.errors import ErrorShape, RequestError
from longrun.gateway.http.operations import Operation


def routes(operations: Iterable[Operation], errors: ErrorShape) -> list[Route]:
    """One route for each path, so that the answer to a wrong method names all right ones."""
    paths: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = operation
    return [_PathRoute(path, by_method, errors) for path, by_method in paths.items()]


class _PathRoute(Route):
    """The operations of one path.

    A path is a list of segments, each of them decoded by itself: an id may have any character, an encoded slash too.
    A slash at the end means nothing.
    """

    def __init__(self, path: str, operations: Mapping[str, Operation], errors: ErrorShape) -> None:
        super().__init__(path, _endpoint(operations, errors), methods=list(operations))
        self._errors = errors
        self._template = path.split("/")

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        found = _fitted(self._template, _segments(scope)) if scope["type"] == "http" else None
        if found is None:
            return Match.NONE, {}
        fits = scope["method"] in (self.methods or ())
        return Match.FULL if fits else Match.PARTIAL, {"endpoint": self.endpoint, "path_params": found}

    @override
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        methods = self.methods or set[str]()
        if scope["method"] in methods:
            await super().handle(scope, receive, send)
            return
        error = RequestError(405, "the path does not take this method", headers={"Allow": ", ".join(sorted(methods))})
        response = await self._errors.render(Request(scope), error)
        await response(scope, receive, send)


def _segments(scope: Scope) -> list[str]:
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        segments: list[str] = scope["path"].split("/")
    else:
        segments = [unquote(segment) for segment in raw.decode("latin-1").split("/")]
    return segments[:-1] if len(segments) > 2 and not segments[-1] else segments  # noqa: PLR2004 - of `/x/`


def _fitted(template: list[str], segments: list[str]) -> dict[str, str] | None:
    """The parameters of a path; ``None`` if the template is another path's."""
    found: dict[str, str] = {}
    for expected, given in zip_longest(template, segments):
        if expected and given and expected.startswith("{"):
            found[expected.strip("{}")] = given
        elif expected != given:
            return None
    return found


def _endpoint(operations: Mapping[str, Operation], errors: ErrorShape) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        operation = operations["GET" if request.method == "HEAD" else request.method]
        try:
            return await operation.respond(request)
        except Exception as error:  # noqa: BLE001 - the edge of the API, whose shape even our own faults have
            return await errors.render(request, error)

    return respond
