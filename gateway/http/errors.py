"""A request that is refused, and how a door says so."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response


class FieldError(BaseModel):
    """One thing that is wrong: ``field`` is a path in the body, a query parameter, a header or a path parameter."""

    field: str
    message: str


class RequestError(Exception):
    """A request that is refused.

    Args:
        status: The HTTP status.
        detail: What is wrong with this request.
        errors: Which fields are wrong.
        headers: More headers of the response.
    """

    def __init__(
        self, status: int, detail: str, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = headers or {}


_PREFIX = "Value error, "
"""With which pydantic begins the messages of our own checks."""
Refuse = Callable[[Request, Exception], Awaitable[Response]]
"""Makes the response for what was raised."""


def wrong(field: str, message: str, status: int = 422) -> RequestError:
    """A refusal that names one field."""
    return RequestError(status, f"{field}: {message}", [FieldError(field=field, message=message)])


def invalid(error: ValidationError, root: str) -> RequestError:
    """A refusal that names each wrong field; ``root`` is the name of the whole."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    errors = [FieldError(field=_path(each["loc"]) or root, message=each["msg"].removeprefix(_PREFIX)) for each in found]
    return RequestError(422, "; ".join(f"{each.field}: {each.message}" for each in errors[:5]), errors)


def _path(location: tuple[int | str, ...]) -> str:
    # A tag says which branch of a union was tried: nothing that the caller wrote.
    return ".".join(str(key) for key in location if not str(key).startswith("<"))


@dataclass(frozen=True)
class ErrorShape:
    """The form of a door's errors.

    ``render`` makes the response for whatever an operation has raised, ``RequestError`` among it. ``model`` and
    ``media_type`` describe its body, ``descriptions`` the meaning of each status.
    """

    render: Refuse
    model: type[BaseModel]
    media_type: str
    descriptions: Mapping[int, str]
