"""Errors as the caller sees them: RFC 9457 problem documents that name what is wrong."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus

from pydantic import BaseModel, JsonValue, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from longrun.gateway.service.runs import AlreadyDecidedError, RunOverError
from longrun.gateway.streaming.tail import GoneError
from longrun.runtime.temporal import TemporalUnavailableError
from longrun.store.agents import NameTakenError
from longrun.store.db.database import StoreUnavailableError
from longrun.store.runs import KeyReusedError, ThreadBusyError

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER = "2"
"""Seconds after which a caller may find what was away."""


class FieldError(BaseModel):
    """One thing that is wrong: ``field`` is a path in the body, a query parameter, a header or a path parameter."""

    field: str
    message: str


class ProblemDocument(BaseModel):
    """What every error answers. ``type`` names the kind of problem and ``about:blank`` says: see ``status``."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


class ProblemError(Exception):
    """A request that is refused.

    Args:
        status: The HTTP status.
        detail: What is wrong with this request.
        errors: Which fields are wrong.
        more: More members of the document.
        headers: More headers of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        more: Mapping[str, JsonValue] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.more = more or {}
        self.headers = headers or {}

    def response(self) -> Response:
        """The answer."""
        document = ProblemDocument(
            title=HTTPStatus(self.status).phrase, status=self.status, detail=self.detail, errors=self.errors
        )
        content = json.dumps({**document.model_dump(), **self.more}).encode()
        return Response(content, self.status, self.headers, MEDIA_TYPE)


def wrong(field: str, message: str, status: int = 422) -> ProblemError:
    """A refusal that names one field."""
    return ProblemError(status, f"{field}: {message}", errors=[FieldError(field=field, message=message)])


def invalid(error: ValidationError, root: str) -> ProblemError:
    """A refusal that names each wrong field; ``root`` is the name of the whole."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    errors = [FieldError(field=_path(each["loc"]) or root, message=each["msg"]) for each in found]
    return ProblemError(422, "; ".join(f"{each.field}: {each.message}" for each in errors[:5]), errors=errors)


def _path(location: tuple[int | str, ...]) -> str:
    # A tag says which branch of a union was tried: nothing that the caller wrote.
    return ".".join(str(part) for part in location if not str(part).startswith("<"))


def _of_http(error: HTTPException) -> ProblemError:
    details = {404: "there is nothing at this path", 405: "the path does not take this method"}
    detail = details.get(error.status_code, error.detail)
    return ProblemError(error.status_code, detail, headers=dict(error.headers or {}))


def _of_name(error: NameTakenError) -> ProblemError:
    return wrong("name", str(error), 409)


def _of_key(error: KeyReusedError) -> ProblemError:
    return wrong("Idempotency-Key", str(error))


def _of_thread(error: ThreadBusyError) -> ProblemError:
    errors = [FieldError(field="thread_id", message=str(error))]
    return ProblemError(409, str(error), errors=errors, more={"run_id": error.run_id})


def _of_over(error: RunOverError) -> ProblemError:
    return wrong("run_id", str(error), 409)


def _of_decided(error: AlreadyDecidedError) -> ProblemError:
    decision = error.decision.model_dump(mode="json", exclude_none=True) if error.decision else None
    errors = [FieldError(field="call_id", message=str(error))]
    return ProblemError(409, str(error), errors=errors, more={"call_status": error.status, "decision": decision})


def _of_gone(error: GoneError) -> ProblemError:
    errors = [FieldError(field="starting_after", message=str(error))]
    return ProblemError(410, str(error), errors=errors, more={"first": error.first})


def _away(error: StoreUnavailableError | TemporalUnavailableError) -> ProblemError:
    logger.warning("answered 503: %s", error)
    what = "the store" if isinstance(error, StoreUnavailableError) else "Temporal"
    return ProblemError(503, f"{what} does not answer; try again", headers={"Retry-After": _RETRY_AFTER})


_TABLE: dict[type[Exception], Callable[..., ProblemError]] = {
    HTTPException: _of_http,
    NameTakenError: _of_name,
    KeyReusedError: _of_key,
    ThreadBusyError: _of_thread,
    RunOverError: _of_over,
    AlreadyDecidedError: _of_decided,
    GoneError: _of_gone,
    StoreUnavailableError: _away,
    TemporalUnavailableError: _away,
}


async def _refused(_request: Request, error: Exception) -> Response:
    problem = error if isinstance(error, ProblemError) else _TABLE[_kind(error)](error)
    return problem.response()


def _kind(error: Exception) -> type[Exception]:
    return next(kind for kind in type(error).__mro__ if kind in _TABLE)


async def _broken(request: Request, error: Exception) -> Response:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return ProblemError(500, "an error on our side; it is in the server's log").response()


Handler = Callable[[Request, Exception], Awaitable[Response]]
HANDLERS: Mapping[type[Exception] | int, Handler] = {
    **dict.fromkeys((ProblemError, *_TABLE), _refused),
    Exception: _broken,
}
"""What Starlette calls for an exception that a handler did not catch."""
