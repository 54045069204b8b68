"""How a plain typed async function becomes a tool: ``@tool(...)`` over it is all there is to write.

Schema and checks come from the signature, what a model is told from the docstring, one line per parameter included.
"""

import inspect
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from textwrap import indent
from typing import Annotated, Any, Literal, get_type_hints, overload

from docstring_parser import Docstring, DocstringStyle, ParseError, parse
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import override

from longrun.activities.toolbox.faults import explain
from longrun.activities.toolbox.tool import ToolContext, ToolFailure
from longrun.workflows.contract.agents import Approval, Effect, OnInterrupt, ToolSpec

MAX_RETURN_CHARS = 250_000
"""The most that a tool may return: at six bytes for a character in JSON it still fits into one Temporal payload."""

ToolFunction = Callable[..., Coroutine[Any, Any, object]]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, eq=False)
class Tool:
    """A function with what a model, a reviewer and a run must know of it.

    ``arguments`` validates a call's argument text; its fields are numbered, so that a parameter may have any name.
    """

    spec: ToolSpec
    function: ToolFunction
    arguments: type[BaseModel]
    context_parameter: str | None

    def parse(self, arguments: str) -> dict[str, object]:
        """The values for the function's parameters in a model's argument text.

        Raises:
            ToolFailure: They are not what the function takes; the message says what is wrong, field by field.
        """
        given = self._validated(arguments)
        return {str(info.alias): getattr(given, name) for name, info in self.arguments.model_fields.items()}

    def check(self, arguments: str) -> dict[str, JsonValue]:
        """The arguments as the function will get them, as JSON: validated, with defaults.

        Raises:
            ToolFailure: They are not what the function takes; the message says what is wrong, field by field.
        """
        return self._validated(arguments).model_dump(mode="json", by_alias=True)

    def _validated(self, arguments: str) -> BaseModel:
        try:
            return self.arguments.model_validate_json(arguments.strip() or "{}")
        except ValidationError as error:
            raise ToolFailure(explain(error, self.spec.name)) from error

    async def call(self, values: dict[str, object], context: ToolContext) -> object:
        """Run the function with values that ``parse`` gave."""
        if self.context_parameter is not None:
            values = {**values, self.context_parameter: context}
        return await self.function(**values)


@overload
def tool(function: ToolFunction, /) -> Tool: ...


@overload
def tool(
    *,
    effect: Effect = "read",
    timeout: float = 60.0,
    return_char_limit: int = 50_000,
    approval: Literal["never", "always"] | Approval = "never",
    loosenable: bool = False,
    on_interrupted: OnInterrupt = "ask",
) -> Callable[[ToolFunction], Tool]: ...


def tool(  # noqa: PLR0913 - one argument for each property of a tool
    function: ToolFunction | None = None,
    /,
    *,
    effect: Effect = "read",
    timeout: float = 60.0,
    return_char_limit: int = 50_000,
    approval: Literal["never", "always"] | Approval = "never",
    loosenable: bool = False,
    on_interrupted: OnInterrupt = "ask",
) -> Tool | Callable[[ToolFunction], Tool]:
    """Make a tool of an async function: schema from the signature, description from the docstring.

    ``@tool`` alone is ``@tool()``. A parameter annotated ``ToolContext`` is given the call's context and is not shown
    to the model.

    Args:
        function: The function, where the decorator is given no arguments.
        effect: ``write`` for what changes the world: it is never silently run twice.
        timeout: Seconds after which a call is ended with an error that the model sees.
        return_char_limit: Characters of a result that the model gets; of a longer one the whole is kept in the store.
        approval: Whether a person must agree to a call. An agent may have the tool ask more often.
        loosenable: Whether an agent may also have it ask less often.
        on_interrupted: What happens to a ``write`` call whose worker died in the middle: a person is asked, the model
            is told, or it is run again under the same ``ToolContext.call_id``.

    Raises:
        TypeError: The function cannot be a tool; the message names it and says why.
    """
    if not 0 < return_char_limit <= MAX_RETURN_CHARS:
        raise TypeError(f"return_char_limit must be between 1 and {MAX_RETURN_CHARS}, not {return_char_limit}")
    if timeout <= 0:
        raise TypeError(f"timeout must be more than 0 seconds, not {timeout}")
    try:
        unnamed = ToolSpec(
            name="",
            description="",
            parameters={},
            effect=effect,
            approval=Approval(mode=approval) if isinstance(approval, str) else approval,
            loosenable=loosenable,
            timeout=timeout,
            return_char_limit=return_char_limit,
            on_interrupted=on_interrupted,
        )
    except ValidationError as exc:
        wrong = exc.errors()[0]
        name = "approval" if wrong["loc"][0] == "mode" else wrong["loc"][0]
        raise TypeError(f"{name} of a tool: {wrong['msg']}, not {wrong['input']!r}") from None
    return partial(_make, unnamed) if function is None else _make(unnamed, function)


def _make(unnamed: ToolSpec, function: ToolFunction) -> Tool:
    name = _name_of(function)
    docstring = _docstring_of(function, name)
    arguments, context_parameter = _arguments_of(function, name, docstring)
    named = {"name": name, "description": _description(docstring), "parameters": _schema_of(arguments, name)}
    return Tool(unnamed.model_copy(update=named), function, arguments, context_parameter)


def _name_of(function: ToolFunction) -> str:
    name: str = getattr(function, "__name__", repr(function))
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"{name} cannot be a tool: it is not an async function (async def)")
    if not _NAME.fullmatch(name):
        raise TypeError(f"{name} cannot be a tool: a name is 1 to 64 of the characters A-Z a-z 0-9 _")
    return name


def _docstring_of(function: ToolFunction, name: str) -> Docstring:
    try:
        docstring = parse(inspect.getdoc(function) or "", DocstringStyle.GOOGLE)
    except ParseError as exc:
        raise TypeError(f"{name} cannot be a tool: its docstring cannot be read: {exc}") from exc
    if not docstring.description:
        raise TypeError(f"{name} cannot be a tool: it has no docstring to tell a model what it does")
    return docstring


def _description(docstring: Docstring) -> str:
    """What the model is told of the tool: parameters have descriptions of their own, and errors are for programmers."""
    text = (docstring.description or "").strip()
    returns = docstring.returns.description if docstring.returns else None
    return f"{text}\n\nReturns:\n{indent(returns, '    ')}" if returns else text


def _arguments_of(function: ToolFunction, name: str, docstring: Docstring) -> tuple[type[BaseModel], str | None]:
    """The model of the arguments, and the parameter that takes the context."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as exc:
        raise TypeError(f"{name} cannot be a tool: an annotation cannot be resolved: {exc}") from exc
    fields: dict[str, Any] = {}
    context_parameter: str | None = None
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in _KINDS:
            raise TypeError(f"{name} cannot be a tool: {parameter} cannot be given by name")
        if parameter.name not in hints:
            raise TypeError(f"{name} cannot be a tool: its parameter {parameter.name} has no type")
        if hints[parameter.name] is ToolContext:
            context_parameter = parameter.name
            continue
        fields[f"argument{len(fields)}"] = _field(parameter, hints[parameter.name], docstring)
    try:
        config = ConfigDict(extra="forbid")
        return create_model(f"{name}_arguments", __config__=config, **fields), context_parameter
    except PydanticUserError as exc:
        raise TypeError(f"{name} cannot be a tool: {exc.message}") from exc


def _field(parameter: inspect.Parameter, annotation: Any, docstring: Docstring) -> Any:  # noqa: ANN401 - any type at all
    default = ... if parameter.default is inspect.Parameter.empty else parameter.default
    described = any(
        isinstance(extra, FieldInfo) and extra.description for extra in getattr(annotation, "__metadata__", ())
    )
    documented = {param.arg_name: param.description for param in docstring.params}
    if not described and (description := documented.get(parameter.name)):
        annotation = Annotated[annotation, Field(description=" ".join(description.split()))]
    return (Annotated[annotation, Field(alias=parameter.name)], default)


class _Untitled(GenerateJsonSchema):
    """A schema without the titles that pydantic makes up from names: they cost tokens and say nothing."""

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _schema_of(arguments: type[BaseModel], name: str) -> dict[str, JsonValue]:
    try:
        schema = arguments.model_json_schema(by_alias=True, schema_generator=_Untitled)
    except PydanticUserError as exc:
        raise TypeError(f"{name} cannot be a tool: {exc.message}") from exc
    schema.pop("title", None)
    return schema
