"""The inputs of an operation: declared by the parameters of its handler, parsed from a request by pydantic.

The first parameter gets the services of the gateway. Of the others, one with a name of the path is a path parameter,
``query`` and ``body`` are pydantic models, ``caller`` is the ``Caller``, and one that is annotated with a ``Header`` is
that header.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request

from longrun.gateway.http.body import read_json
from longrun.gateway.http.caller import Caller
from longrun.gateway.http.errors import invalid, wrong

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Header:
    """A header of an operation, for the annotation of a parameter that is ``None`` without it."""

    name: str
    description: str


@dataclass(frozen=True)
class Parameter:
    """A path parameter or a header. ``argument`` is its name in the handler, ``name`` the one in the request."""

    argument: str
    name: str
    location: Literal["path", "header"]
    adapter: TypeAdapter[Any]
    description: str = ""

    def parse(self, request: Request) -> object:
        """The value in a request.

        Raises:
            RequestError: It is none.
        """
        given = request.path_params[self.name] if self.location == "path" else request.headers.get(self.name)
        try:
            return self.adapter.validate_python(given)
        except ValidationError as error:
            raise invalid(error, self.name) from error


@dataclass(frozen=True)
class Inputs:
    """What an operation takes from a request."""

    parameters: tuple[Parameter, ...] = ()
    models: Mapping[str, type[BaseModel]] = field(default_factory=dict[str, type[BaseModel]])
    caller: bool = False

    @property
    def query(self) -> type[BaseModel] | None:
        """The model of the query parameters."""
        return self.models.get("query")

    @property
    def body(self) -> type[BaseModel] | None:
        """The model of the body."""
        return self.models.get("body")

    async def parse(self, request: Request) -> dict[str, object]:
        """The arguments for the handler.

        Raises:
            RequestError: Names each wrong field.
        """
        _refuse_nul(request)
        arguments = {parameter.argument: parameter.parse(request) for parameter in self.parameters}
        if self.caller:
            arguments["caller"] = Caller.of(request)
        if self.query:
            arguments["query"] = validate(self.query, dict(request.query_params), "query")
        if self.body:
            arguments["body"] = validate(self.body, await read_json(request), "body")
        return arguments


def validate(model: type[M], given: object, root: str) -> M:
    """What is given as a model; a field that the model does not have is an error too.

    Raises:
        RequestError: Names each wrong field.
    """
    try:
        return model.model_validate(given, extra="forbid")
    except ValidationError as error:
        raise invalid(error, root) from error


def inputs_of(handler: Callable[..., object], path: str) -> Inputs:
    """The inputs that a handler of a path declares.

    Raises:
        TypeError: A parameter is neither in the path nor a query, a body or a header.
    """
    hints = get_type_hints(handler, include_extras=True)
    in_path = re.findall(r"{(\w+)}", path)
    _services, *names = inspect.signature(handler).parameters
    if missing := set(in_path) - set(names):
        raise TypeError(f"{handler.__name__} does not take {missing} of {path}")
    models = {name: hints[name] for name in names if name in ("query", "body")}
    others = [name for name in names if name not in models and hints[name] is not Caller]
    parameters = tuple(_parameter(name, hints[name], in_path=name in in_path) for name in others)
    return Inputs(parameters, models, caller="caller" in names)


def _parameter(name: str, hint: Any, *, in_path: bool) -> Parameter:  # noqa: ANN401 - an annotation
    if in_path:
        return Parameter(name, name, "path", TypeAdapter(hint))
    for header in get_args(hint):
        if isinstance(header, Header):
            return Parameter(name, header.name, "header", TypeAdapter(hint), header.description)
    raise TypeError(f"{name} is neither in the path nor a header")


def _refuse_nul(request: Request) -> None:
    """Refuse a path or a query with a NUL character, which PostgreSQL can neither keep nor look for."""
    for name, value in [*request.path_params.items(), *request.query_params.multi_items()]:
        if "\0" in name + value:
            raise wrong(name, "has a NUL character")
