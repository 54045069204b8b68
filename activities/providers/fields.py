"""JSON of a host, made what its wire's schema says: the one edge that foreign JSON passes before our code reads it.

A schema is made of the functions here. What is declared has the declared type afterwards; what is not declared stays as
it came. What cannot be read as what it should be is an error that names the field.
"""

import json
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, cast

Json = Any
"""A value as ``json.loads`` gives it."""
Object = dict[str, Any]
_DEEPEST = 100
"""Levels of a value; what keeps it, and the hosts that get it back, read about twice as many."""
Field = Callable[[Json, str], Json]
"""Takes a value and the path of its field."""


class FieldError(ValueError):
    """A field is not what the wire's schema says; the message names it."""


def text(value: Json, path: str) -> str:
    """A text of the model: null is none, a number its digits, a list its pieces one after the other."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list):
        return "".join(text(piece, path) for piece in cast("list[Json]", value))
    if isinstance(value, dict):
        return text(cast("Object", value).get("text"), f"{path}.text")
    return json.dumps(value)


def json_text(value: Json, path: str) -> str:  # noqa: ARG001 - a field
    """A text that is JSON, such as a call's arguments: some hosts send the value itself."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def name(value: Json, path: str) -> str:
    """A name, an id or a reason: null is none, a number its digits.

    Raises:
        FieldError: It is a list or an object.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict):
        raise FieldError(f"{path} is {_kind(value)} instead of a text")
    return "" if value is None else json.dumps(value)


def number(value: Json, path: str) -> int | None:  # noqa: ARG001 - a field
    """A count or an index, also as a text; ``None`` for what is none."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value[:18])
    return int(value) if isinstance(value, int | float) and value == value // 1 else None


def object_of(**fields: Field) -> Field:
    """An object; null is an empty one, a list of one object that one.

    Raises:
        FieldError: It is no object.
    """

    def read(value: Json, path: str) -> Object:
        if isinstance(value, list) and len(cast("list[Json]", value)) == 1:
            value = cast("list[Json]", value)[0]
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise FieldError(f"{path} is {_kind(value)} instead of an object")
        found = cast("Object", value)
        for key, field in fields.items():
            if key in found:
                found[key] = field(found[key], f"{path}.{key}" if path else key)
        return found

    return read


def optional(field: Field) -> Field:
    """A field whose absence counts: null stays null."""
    return lambda value, path: None if value is None else field(value, path)


def list_of(item: Field) -> Field:
    """A list; null is an empty one, one thing that is no list a list of it."""

    def read(value: Json, path: str) -> list[Json]:
        values = cast("list[Json]", value if isinstance(value, list) else [] if value is None else [value])
        return [item(each, f"{path}[{index}]") for index, each in enumerate(values)]

    return read


def parsed(data: str) -> Json:
    """The value of a JSON text; numbers that are none, which some hosts write, are null.

    Raises:
        FieldError: It is none, or nested too deeply.
    """
    try:
        value = _DECODER.decode(data)
    except (ValueError, RecursionError) as error:
        raise FieldError(f"is not JSON: {error}: {data[:100]!r}") from error
    if data.count("{") + data.count("[") > _DEEPEST and _deeper(value):
        raise FieldError(f"is nested more than {_DEEPEST} levels deep: {data[:100]!r}")
    return value


def _deeper(value: Json) -> bool:
    """Whether a value has more than ``_DEEPEST`` levels."""
    level: list[Json] = [value]
    for _ in range(_DEEPEST + 1):
        objects = (cast("Object", each).values() for each in level if isinstance(each, dict))
        lists = (cast("list[Json]", each) for each in level if isinstance(each, list))
        level = [inner for values in (*objects, *lists) for inner in values if isinstance(inner, dict | list)]
    return bool(level)


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if isfinite(number) else None


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=lambda _: None)


def _kind(value: Json) -> str:
    if isinstance(value, list):
        return "a list"
    if isinstance(value, Mapping):
        return "an object"
    return f"the {type(value).__name__} {json.dumps(value)[:50]}"
