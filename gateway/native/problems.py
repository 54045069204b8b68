"""The errors of the native API: RFC 9457 problem documents that name what is wrong."""

import json
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, JsonValue
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from longrun.gateway.http.errors import ErrorShape, FieldError, RequestError, wrong
from longrun.gateway.service.errors import (
    AlreadyDecidedError,
    AmbiguousCallError,
    InvalidEditError,
    KeyReusedError,
    NameTakenError,
    PrunedError,
    RunOverError,
    StoreRefusedError,
    StoreUnavailableError,
    TemporalUnavailableError,
    ThreadBusyError,
    TooLargeError,
    TooManySaidError,
    UnknownAgentError,
    UnknownCallError,
    UnknownResultError,
    UnknownRunError,
)

logger = logging.getLogger(__name__)

_MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER = "2"
"""Seconds after which a caller may find available what is not."""


class ProblemDocument(BaseModel):
    """What every error answers. ``type`` names the kind of problem and ``about:blank`` says: see ``status``."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


_FIELDS: Mapping[type[Exception], tuple[str, int]] = {
    AmbiguousCallError: ("run_id", 422),
    KeyReusedError: ("Idempotency-Key", 422),
    NameTakenError: ("name", 409),
    RunOverError: ("run_id", 409),
    StoreRefusedError: ("body", 422),
    TooManySaidError: ("text", 429),
    UnknownAgentError: ("agent_id", 404),
    UnknownCallError: ("call_id", 404),
    UnknownResultError: ("call_id", 404),
    UnknownRunError: ("run_id", 404),
}
"""The field that an error of the services is about, and its status."""


async def render(request: Request, error: Exception) -> Response:
    """The problem document of an error; one that nobody knows is logged, and none of it is shown."""
    kinds = type(error).__mro__
    for kind in kinds:
        if kind in _FIELDS:
            field, status = _FIELDS[kind]
            return _refused(wrong(field, str(error), status))
        if kind in _RENDERERS:
            return _RENDERERS[kind](error)
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _refused(RequestError(500, "an error on our side; it is in the server's log"))


def _refused(error: RequestError, members: Mapping[str, JsonValue] | None = None) -> Response:
    """The document of a refusal, with more members."""
    document = ProblemDocument(
        title=HTTPStatus(error.status).phrase, status=error.status, detail=error.detail, errors=error.errors
    )
    content = json.dumps({**document.model_dump(), **(members or {})}).encode()
    return Response(content, error.status, error.headers, _MEDIA_TYPE)


def _named(error: Exception, status: int, field: str, **members: JsonValue) -> Response:
    """The document of a refusal that is about one field."""
    return _refused(RequestError(status, str(error), [FieldError(field=field, message=str(error))]), members)


def _of_http(error: HTTPException) -> Response:
    detail = "there is nothing at this path" if error.status_code == HTTPStatus.NOT_FOUND else error.detail
    return _refused(RequestError(error.status_code, detail, headers=error.headers))


def _of_thread(error: ThreadBusyError) -> Response:
    return _named(error, 409, "thread_id", run_id=error.run_id)


def _of_decision(error: AlreadyDecidedError) -> Response:
    decision = error.decision.model_dump(mode="json", exclude_none=True) if error.decision else None
    return _named(error, 409, "call_id", call_status=error.status, decision=decision)


def _of_field(error: TooLargeError | InvalidEditError) -> Response:
    return _refused(wrong(error.field, str(error)))


def _of_range(error: PrunedError) -> Response:
    return _named(error, 410, "starting_after", first=error.first)


def _unavailable(error: StoreUnavailableError | TemporalUnavailableError) -> Response:
    logger.warning("answered 503: %s", error)
    what = "the store" if isinstance(error, StoreUnavailableError) else "Temporal"
    return _refused(RequestError(503, f"{what} does not answer; try again", headers={"Retry-After": _RETRY_AFTER}))


_RENDERERS: Mapping[type[Exception], Callable[[Any], Response]] = {
    RequestError: _refused,
    HTTPException: _of_http,
    ThreadBusyError: _of_thread,
    AlreadyDecidedError: _of_decision,
    TooLargeError: _of_field,
    InvalidEditError: _of_field,
    PrunedError: _of_range,
    StoreUnavailableError: _unavailable,
    TemporalUnavailableError: _unavailable,
}

PROBLEMS = ErrorShape(
    render=render,
    model=ProblemDocument,
    media_type=_MEDIA_TYPE,
    descriptions={
        400: "The body is not JSON",
        401: "There are keys, and the request brings none of them",
        403: "It comes from a page of another origin, or for a host that is not this server",
        404: "There is no such thing",
        408: "The body stops in the middle",
        409: "Something else came first",
        410: "It is lost; of events, `first` is the first seq that there is",
        413: "The body is too large",
        415: "The body is not application/json, or is packed",
        422: "A field is wrong",
        429: "Too much waits already",
        503: "The store or Temporal is unavailable; try again after Retry-After",
    },
)
