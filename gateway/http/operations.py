"""A declared operation: one function that is parsed for, called and rendered, and that describes itself in OpenAPI.

    operations = Operations("agents")

    @operations.get("/api/agents/{agent_id}", Answer(200, "The agent"), errors=(404,))
    async def get_agent(services: Services, agent_id: str) -> AgentView:
        '''Get an agent.

        One agent, by id or by name.
        '''
        return await services.agents.get(agent_id)

Its inputs follow from its parameters (``gateway/http/inputs.py``), the model of its answer from what it returns, its
name from its own, its summary and description from its docstring.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from longrun.gateway.http.inputs import Inputs, inputs_of

M_co = TypeVar("M_co", bound=BaseModel, covariant=True)


@dataclass(frozen=True)
class Reply(Generic[M_co]):
    """A model with another status than the first of the operation's answers, or with headers."""

    model: M_co
    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


Handler = Callable[..., Awaitable[BaseModel | Reply[Any] | Response | None]]
H = TypeVar("H", bound=Handler)
Method = Literal["GET", "POST", "PATCH", "DELETE"]


@dataclass(frozen=True)
class EventSchema:
    """The events of a stream: ``data`` is the type of their data, under ``name``; ``id`` and ``event`` are schemas."""

    name: str
    data: TypeAdapter[Any]
    description: str
    id: Mapping[str, object]
    event: Mapping[str, object]


@dataclass(frozen=True)
class Answer:
    """One status that an operation answers with.

    ``model`` is the type of its JSON body, by default the one that the handler returns. ``events`` says that it is, or
    may be, a stream, ``text`` that it is plain text.
    """

    status: int
    description: str
    model: Any = None
    events: EventSchema | None = None
    text: bool = False

    @property
    def has_content(self) -> bool:
        """Whether it has a body."""
        return self.status != 204  # noqa: PLR2004 - HTTP's


@dataclass(frozen=True)
class Operation:
    """One method of one path, under a tag.

    ``errors`` are the statuses of its errors beside those that every operation has; a ``public`` one needs no key.
    """

    tag: str
    method: Method
    path: str
    handler: Handler
    answers: tuple[Answer, ...]
    errors: tuple[int, ...]
    inputs: Inputs
    model: Any
    public: bool

    @property
    def name(self) -> str:
        """The operation's id."""
        return self.handler.__name__

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        return self._docstring[0].removesuffix(".")

    @property
    def description(self) -> str:
        """The other sentences of the docstring."""
        return re.sub(r"\s*\n\s*", " ", self._docstring[2])

    @property
    def _docstring(self) -> tuple[str, str, str]:
        return (inspect.getdoc(self.handler) or "").partition("\n\n")

    def model_of(self, answer: Answer) -> Any:  # noqa: ANN401 - a type
        """The type of an answer's JSON body; ``None`` if it has no such body."""
        return answer.model or (self.model if answer.has_content and not answer.text else None)

    async def respond(self, request: Request) -> Response:
        """Parse a request, call the handler, and render what it returns.

        Raises:
            RequestError: The request is refused.
        """
        result = await self.handler(request.state.services, **await self.inputs.parse(request))
        status = self.answers[0].status
        if result is None:
            return Response(status_code=status)
        if isinstance(result, Response):
            return result
        reply = result if isinstance(result, Reply) else Reply(result, status)
        return Response(reply.model.model_dump_json().encode(), reply.status, reply.headers, "application/json")


class Operations:
    """Collects the operations of a module, by decorators.

    Args:
        tag: Under which the document lists them.
    """

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._operations: list[Operation] = []

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._operations)

    def get(self, path: str, *answers: Answer, errors: tuple[int, ...] = (), public: bool = False) -> Callable[[H], H]:
        """Declare a handler of GET and HEAD, which may be for those too who have no key."""
        return self._declare("GET", path, answers, errors, public=public)

    def post(self, path: str, *answers: Answer, errors: tuple[int, ...] = ()) -> Callable[[H], H]:
        """Declare a handler of POST."""
        return self._declare("POST", path, answers, errors)

    def patch(self, path: str, *answers: Answer, errors: tuple[int, ...] = ()) -> Callable[[H], H]:
        """Declare a handler of PATCH."""
        return self._declare("PATCH", path, answers, errors)

    def delete(self, path: str, *answers: Answer, errors: tuple[int, ...] = ()) -> Callable[[H], H]:
        """Declare a handler of DELETE."""
        return self._declare("DELETE", path, answers, errors)

    def _declare(
        self, method: Method, path: str, answers: tuple[Answer, ...], errors: tuple[int, ...], *, public: bool = False
    ) -> Callable[[H], H]:
        def declare(handler: H) -> H:
            inputs = inputs_of(handler, path)
            model = _returned(handler)
            found = Operation(self._tag, method, path, handler, answers, errors, inputs, model, public)
            self._operations.append(found)
            return handler

        return declare


def _returned(handler: Handler) -> Any:  # noqa: ANN401 - a type
    """The model that a handler returns, bare or in a reply; ``None`` if it returns only responses or nothing."""
    returned = get_type_hints(handler)["return"]
    for kind in (returned, *get_args(returned)):
        for model in (kind, *get_args(kind)):
            if inspect.isclass(model) and issubclass(model, BaseModel):
                return model
    return None
