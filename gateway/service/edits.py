"""A reviewer's arguments against the schema of the tool, when they are given: not when it is too late to mend them."""

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from pydantic import JsonValue

from longrun.gateway.service.errors import InvalidEditError
from longrun.workflows.contract.agents import ToolSpec


def check_arguments(tool: ToolSpec, args: Mapping[str, JsonValue] | None) -> None:
    """Check arguments.

    Raises:
        InvalidEditError: The tool does not take them.
    """
    validator: Any = Draft202012Validator(tool.parameters)  # partly typed upstream
    for error in validator.iter_errors(args):
        path = ".".join(map(str, ("args", *error.absolute_path)))
        raise InvalidEditError(path, f"{tool.name} does not take this: {error.message}"[:500])
