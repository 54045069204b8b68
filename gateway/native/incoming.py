"""What a request carries: a JSON body of bounded size, checked query parameters, the run that its path names."""

from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import Request

from gateway.native.problems import ProblemError, invalid, wrong
from gateway.parts import parts_of
from store.tables import RunRow

MOST_BYTES = 8 * 1024 * 1024

M = TypeVar("M", bound=BaseModel)


async def read_json(request: Request) -> object:
    """The body as JSON; an empty one is an empty object.

    Raises:
        ProblemError: It is too large (found without reading all of it), of another type, or not JSON.
    """
    raw = await _read(request)
    if not raw:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise wrong("Content-Type", "must be application/json", 415)
    try:
        return from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise wrong("body", f"is not JSON: {error}", 400) from error


async def _read(request: Request) -> bytes:
    too_large = wrong("body", f"is larger than {MOST_BYTES} bytes", 413)
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > MOST_BYTES:
        raise too_large
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            raise too_large
    return bytes(body)


def check(shape: type[M], given: object) -> M:
    """A body as its shape; a field that the shape does not have is an error too.

    Raises:
        ProblemError: Names each wrong field.
    """
    try:
        return shape.model_validate(given, extra="forbid")
    except ValidationError as error:
        raise invalid(error, "body") from error


def read_query(request: Request, shape: type[M]) -> M:
    """The query parameters as their shape.

    Raises:
        ProblemError: Names each wrong parameter.
    """
    try:
        return shape.model_validate(dict(request.query_params), extra="forbid")
    except ValidationError as error:
        raise invalid(error, "query") from error


def uuid_of(text: str, field: str) -> str:
    """An id in its one spelling.

    Raises:
        ProblemError: It is none.
    """
    try:
        return str(UUID(text))
    except ValueError as error:
        raise wrong(field, "is not a UUID") from error


async def run_of(request: Request) -> RunRow:
    """The run that the path names, brought back from its history if the store has lost it.

    Raises:
        ProblemError: There is none.
    """
    return await find_run(request, uuid_of(request.path_params["run_id"], "run_id"))


async def find_run(request: Request, run_id: str) -> RunRow:
    """A run by its id, brought back from its history if the store has lost it.

    Raises:
        ProblemError: There is none.
    """
    parts = parts_of(request)
    row = await parts.runs.get(run_id)
    if row is None and await parts.historian.restore_unknown(run_id):
        row = await parts.runs.get(run_id)
    if row is None:
        raise wrong("run_id", f"there is no run {run_id}", 404)
    return row


def known(found: object, field: str, what: str) -> ProblemError:
    """A refusal for something that is not there."""
    return wrong(field, f"there is no {what} {found!r}", 404)
