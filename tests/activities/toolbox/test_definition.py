"""A plain typed async function becomes a tool, or the author is told why not."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from longrun.activities.toolbox.definition import MAX_RETURN_CHARS, Tool, ToolFunction, tool
from longrun.activities.toolbox.tool import ToolContext
from longrun.workflows.contract.agents import Approval, ArgumentRule


class Address(BaseModel):
    street: str
    number: int = 1


@tool
async def look_up(name: str) -> str:
    """Look somebody up."""
    return name


@tool(effect="write", approval="always", timeout=5, return_char_limit=100, on_interrupted="retry")
async def post_letter(
    context: ToolContext,
    to: Address,
    json: str,
    tags: Annotated[list[str] | None, Field(description="Words to find it by.")] = None,
    *,
    registered: bool = False,
) -> str:
    """Post a letter.

    It arrives in a day
    or two.

    Args:
        context: The call.
        to (Address): Where it goes,
            with a street: any street.
        json: The text.
        tags: Not this one.

    Returns:
        The number of the letter.

    Raises:
        OSError: The post is closed.
    """
    return f"{to.street} {to.number} {json} {tags} {registered} {context.call_id}"


def test_the_description_is_the_docstring_without_arguments_and_errors() -> None:
    assert post_letter.spec.description == (
        "Post a letter.\n\nIt arrives in a day\nor two.\n\nReturns:\n    The number of the letter."
    )


def test_the_schema_describes_each_parameter_but_the_context_and_forbids_others() -> None:
    schema: dict[str, Any] = post_letter.spec.parameters
    assert list(schema["properties"]) == ["to", "json", "tags", "registered"]
    assert schema["required"] == ["to", "json"]
    assert schema["additionalProperties"] is False
    assert "title" not in schema
    assert schema["properties"]["to"]["description"] == "Where it goes, with a street: any street."
    assert schema["properties"]["json"] == {"description": "The text.", "type": "string"}
    assert schema["properties"]["tags"]["description"] == "Words to find it by."
    assert schema["properties"]["registered"] == {"default": False, "type": "boolean"}


def test_the_settings_are_in_the_spec() -> None:
    spec = post_letter.spec
    assert (spec.name, spec.effect, spec.approval) == ("post_letter", "write", Approval(mode="always"))
    assert (spec.timeout, spec.return_char_limit, spec.on_interrupted) == (5, 100, "retry")


def test_without_settings_the_decorator_needs_no_parentheses() -> None:
    assert look_up.spec == tool()(look_up.function).spec


def test_an_approval_may_be_a_rule() -> None:
    rule = Approval(mode="when", rules=(ArgumentRule(argument="to", value="boss"),))

    @tool(approval=rule)
    async def greet(to: str) -> str:
        """Greet."""
        return to

    assert greet.spec.approval == rule


async def test_the_function_gets_typed_values_and_the_context(context: ToolContext) -> None:
    values = post_letter.parse('{"to": {"street": "Elm"}, "json": "hi", "registered": true}')
    assert await post_letter.call(values, context) == "Elm 1 hi None True call-1"


def not_async(a: int) -> int:
    """Text."""
    return a


async def untyped(a) -> None:  # noqa: ANN001 - what is tested  # pyright: ignore[reportMissingParameterType, reportUnknownParameterType] - tested
    """Text."""


async def no_docstring(a: int) -> None:
    pass


async def bad_section(a: int) -> None:
    """Text.

    Args:
        nothing
    """


async def größe(a: int) -> None:  # noqa: PLC2401 - what is tested
    """Text."""


async def many(*a: int) -> None:
    """Text."""


async def unknown_type(a: "Missing") -> None:  # noqa: F821 - what is tested  # pyright: ignore[reportUndefinedVariable, reportUnknownParameterType] - tested
    """Text."""


async def no_schema(a: Callable[[], int]) -> None:
    """Text."""


async def no_validation(a: pytest.MonkeyPatch) -> None:
    """Text."""


REFUSED: list[tuple[Any, str]] = [
    (not_async, "not an async function"),
    (untyped, "parameter a has no type"),
    (no_docstring, "has no docstring"),
    (bad_section, "docstring cannot be read: Expected a colon"),
    (größe, "a name is 1 to 64"),
    (many, r"\*a: int cannot be given by name"),
    (unknown_type, "annotation cannot be resolved: name 'Missing'"),
    (no_schema, "Cannot generate a JsonSchema"),
    (no_validation, "Unable to generate pydantic-core schema"),
]


@pytest.mark.parametrize(("function", "reason"), REFUSED)
def test_what_cannot_be_a_tool_is_a_type_error_that_names_the_function(function: ToolFunction, reason: str) -> None:
    with pytest.raises(TypeError, match=f"{getattr(function, '__name__')} cannot be a tool: .*{reason}"):  # noqa: B009 - a callable need not have one
        tool()(function)


@pytest.mark.parametrize("limit", [0, MAX_RETURN_CHARS + 1])
def test_a_return_limit_that_temporal_could_not_carry_is_a_type_error(limit: int) -> None:
    with pytest.raises(TypeError, match="return_char_limit"):
        tool(return_char_limit=limit)


def test_a_timeout_must_be_positive() -> None:
    with pytest.raises(TypeError, match="timeout"):
        tool(timeout=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"approval": "ask"}, "approval of a tool: Input should be 'never', 'always' or 'when', not 'ask'"),
        ({"effect": "delete"}, "effect of a tool: Input should be 'read' or 'write', not 'delete'"),
        ({"on_interrupted": "skip"}, "on_interrupted of a tool: Input should be 'retry', 'ask' or 'fail', not 'skip'"),
    ],
)
def test_a_property_that_there_is_not_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as refused:
        tool(**given)
    assert str(refused.value) == message


def test_a_tool_without_parameters_takes_an_empty_text() -> None:
    @tool()
    async def now() -> str:
        """Tell the time."""
        return "noon"

    assert isinstance(now, Tool)
    assert now.parse("") == {}
