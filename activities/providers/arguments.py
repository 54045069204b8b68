"""The arguments of tool calls in a request: a model may have written no JSON, but a request has to be JSON."""

import json
from typing import cast

from pydantic import JsonValue

from longrun.workflows.contract.characters import clean_json

INVALID = "INVALID_JSON"
"""The key of arguments that are no JSON object."""


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def argument_object(arguments: str) -> dict[str, JsonValue]:
    """The arguments as an object; a text that is none is wrapped, so that the model sees what it wrote."""
    try:
        value = cast("JsonValue", clean_json(json.loads(arguments or "{}", parse_constant=_refuse)))
    except (ValueError, RecursionError):
        return {INVALID: arguments}
    return value if isinstance(value, dict) else {INVALID: arguments}


def argument_text(arguments: str) -> str:
    """The arguments as a JSON text: the model's own, byte for byte, if it is an object."""
    found = argument_object(arguments)
    return json.dumps(found) if INVALID in found else arguments or "{}"


def is_object(arguments: str) -> bool:
    """Whether the text is a whole JSON object."""
    return bool(arguments) and INVALID not in argument_object(arguments)


def same_json(one: str, other: str) -> bool:
    """Whether two texts are the same JSON object."""
    return is_object(one) and is_object(other) and argument_object(one) == argument_object(other)
