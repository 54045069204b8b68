"""One JSON text changed: a value replaced by any other, a key dropped, renamed or said twice."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from random import Random
from typing import Any, cast

Json = Any
_RAW = "\x01"
"""Begins a text that stands for the JSON text after it, which ``json`` does not write."""
_NESTED = 3_000
_VALUES: list[Json] = [
    *(None, True, False, 0, 1, 2, -1, 999, 1.0, 1.5, -0.0, 1e308, float("nan"), float("inf"), -float("inf")),
    *(2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**400),
    *("", " ", "\0", "\ud83d", "\ude00x", "text", "0", "-1", "1e9", "null", "{}", '{"a": 1}', "[", "error", "message"),
    *("\N{GRINNING FACE}", "\u2028", "\ufeff", "x" * 3_000, "é" * 2_000),
    *([], {}, [None], [[]], [{}], [1, "x"], [{"text": "x"}, None], {"text": "x"}, {"error": "x"}, {"type": "text"}),
    *({"\ud83d": "\0"}, {"": {"": []}}, {"a": float("nan")}, [["x", ["y"]]], {"text": {"text": ["x"]}}),
    _RAW + "[" * _NESTED + "]" * _NESTED,
    _RAW + '{"text":' * _NESTED + "1" + "}" * _NESTED,
    _RAW + "9" * 5_000,
    _RAW + "1e999",
    _RAW + "[" * 200 + "]" * 200,
]
_NAMES = ("type", "text", "id", "index", "error", "object", "status", "delta", "content", "detail", "usage", "\0", "")


def changed(random: Random, text: str, known: list[Json]) -> str:
    """The text with one to three changes; ``known`` are values of other texts of the stream."""
    value: Json = json.loads(text)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        value = _changed(random, value, known)
    return _written(value)


def values(value: Json) -> Iterator[Json]:
    """A value and every value in it, the outermost first."""
    yield value
    inner: Iterator[Json] = iter(())
    if isinstance(value, dict):
        inner = iter(cast("dict[str, Json]", value).values())
    elif isinstance(value, list):
        inner = iter(cast("list[Json]", value))
    for each in inner:
        yield from values(each)


def _changed(random: Random, value: Json, known: list[Json]) -> Json:
    owners: list[Json] = [each for each in values(value) if isinstance(each, dict | list) and each]
    if not owners or random.random() < 0.03:
        return _another(random, known)
    owner: Json = random.choice(owners)
    if isinstance(owner, list):
        items = cast("list[Json]", owner)
        _in_list(random, items, random.randrange(len(items)), known)
    else:
        fields = cast("dict[str, Json]", owner)
        random.choice(_DEEDS)(random, fields, random.choice(list(fields)), known)
    return value


def _in_list(random: Random, items: list[Json], at: int, known: list[Json]) -> None:
    deed = random.randrange(4)
    if deed == 0:
        del items[at]
    elif deed == 1:
        items.insert(at, _another(random, known))
    elif deed == 2:
        items.reverse()
    else:
        items[at] = _another(random, known)


def _replace(random: Random, fields: dict[str, Json], key: str, known: list[Json]) -> None:
    fields[key] = _another(random, known)


def _drop(random: Random, fields: dict[str, Json], key: str, known: list[Json]) -> None:
    del fields[key]


def _rename(random: Random, fields: dict[str, Json], key: str, known: list[Json]) -> None:
    fields[random.choice(_NAMES)] = fields.pop(key)


def _add(random: Random, fields: dict[str, Json], key: str, known: list[Json]) -> None:
    fields[random.choice(_NAMES)] = _another(random, known)


def _wrap(random: Random, fields: dict[str, Json], key: str, known: list[Json]) -> None:
    fields[key] = random.choice(([fields[key]], {"text": fields[key]}, json.dumps(fields[key]), [[fields[key]], None]))


def _twice(random: Random, fields: dict[str, Json], key: str, known: list[Json]) -> None:
    """Say a key twice, with another value the second time."""
    members = f"{_written(fields)[1:-1]}, {json.dumps(key)}: {_written(_another(random, known))}"
    fields[key] = _RAW + "{" + members + "}"


_DEEDS: list[Callable[[Random, dict[str, Json], str, list[Json]], None]] = [
    *(_replace, _replace, _replace, _drop, _drop, _rename, _add, _wrap, _twice),
]


def _another(random: Random, known: list[Json]) -> Json:
    return deepcopy(random.choice(known if known and random.randrange(4) == 0 else _VALUES))


def _written(value: Json) -> str:
    if isinstance(value, str):
        return value[1:] if value.startswith(_RAW) else json.dumps(value)
    if isinstance(value, dict):
        fields = cast("dict[str, Json]", value)
        return "{" + ", ".join(f"{json.dumps(key)}: {_written(each)}" for key, each in fields.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, cast("list[Json]", value))) + "]"
    return json.dumps(value)
