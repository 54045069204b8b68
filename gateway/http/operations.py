"""What an operation of the API declares: its place, its handler, and what the OpenAPI document says of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

Handler = Callable[[Request], Awaitable[Response]]
Method = Literal["GET", "POST", "PATCH", "DELETE"]


@dataclass(frozen=True)
class Answer:
    """One kind of answer.

    ``shape`` is the type of a JSON body; ``events`` says that it is a stream of a run, ``text`` that it is plain text.
    """

    status: int
    description: str
    shape: Any = None
    events: bool = False
    text: bool = False


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    ``query`` and ``body`` are the pydantic models of what comes in; ``headers`` are the ones that the handler reads;
    ``errors`` are the problems beside those that every operation has.
    """

    method: Method
    path: str
    handler: Handler
    summary: str
    answers: tuple[Answer, ...]
    query: Any = None
    body: Any = None
    body_required: bool = True
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    errors: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The operation's id."""
        return self.handler.__name__
