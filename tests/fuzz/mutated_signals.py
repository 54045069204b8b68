"""Signals that are none of a run's: by their names, their payloads, their encodings, their sizes, their types."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from temporalio.api.common.v1 import Payload

LARGEST = 1_900_000
"""Bytes; Temporal takes no signal of two megabytes."""
_NAMES = ("decide", "say", "cancel")
_OTHERS = ("", "Decide", "decide ", "nosuch", "__temporal", "\N{GRINNING FACE}", "a" * 900, "cancel\n", "status")
_ENCODINGS = (b"", b"json/protobuf", b"binary/plain", b"binary/protobuf", b"json/plain ", b"\xff\xfe", b"x" * 2_000)
_NONE: list[Any] = [
    5,
    -1.5,
    True,
    "approve",
    "",
    "c1",
    [],
    [None],
    [{"call_id": "c1"}],
    "\ud83d",
    float("nan"),
    "é" * 999,
]
_WRONG: dict[str, list[Any]] = {
    "decide": [
        {},
        {"call_id": "c1"},
        {"decision": "approve"},
        {"call_id": None, "decision": "approve"},
        {"call_id": ["c1"], "decision": "approve"},
        {"call_id": "c1", "decision": "Approve"},
        {"call_id": "c1", "decision": ["approve"]},
        {"call_id": "c1", "decision": "edit"},
        {"call_id": "c1", "decision": "edit", "args": "amount"},
        {"call_id": "c1", "decision": "approve", "by": {"name": "ann"}},
        {"call_id": "c2", "decision": "approve"},
        {"call_id": "C1", "decision": "deny", "reason": "\0 \ud83d"},
        {"call_id": "c1\0", "decision": "approve"},
        {"call_id": "c1", "decision": "deny", "reason": 5},
    ],
    "say": [{}, {"text": None}, {"text": 5}, {"text": ["a"]}, {"text": {"text": "a"}}, {"txt": "a"}],
    "cancel": [{"by": 5}, {"by": ["ann"]}, {"by": {"by": "ann"}}],
}

Signal = tuple[str, Sequence[Payload]]


def mutated(random: Random) -> Signal:
    """A signal that decides, says and cancels nothing in a run that waits for ``c1``."""
    return random.choice(_KINDS)(random)


def _payload(data: bytes, encoding: bytes = b"json/plain") -> Payload:
    return Payload(metadata={"encoding": encoding}, data=data)


def _json(value: Any) -> Payload:  # noqa: ANN401 - any JSON value
    return _payload(json.dumps(value).encode())


def _unknown(random: Random) -> Signal:
    return random.choice(_OTHERS) or "x", [_json(random.choice(_NONE))] * random.randrange(3)


def _no_object(random: Random) -> Signal:
    return random.choice(_NAMES), [_json(random.choice(_NONE))]


def _wrong_fields(random: Random) -> Signal:
    name = random.choice(_NAMES)
    return name, [_json(random.choice(_WRONG[name]))]


def _encoded(random: Random) -> Signal:
    good = {"call_id": "c1", "decision": "approve"}
    return "decide", [_payload(json.dumps(good).encode(), random.choice(_ENCODINGS))]


def _garbled(random: Random) -> Signal:
    deep = b"[" * 50_000
    datas = [b"", b"{", b"\xff\xff", b'{"call_id": "c1", ', b"\0", b"nul", deep, b"9" * 5_000, random.randbytes(200)]
    return random.choice(("decide", "say", "cancel")), [_payload(random.choice(datas))]


def _too_many(random: Random) -> Signal:
    good = [_json({"call_id": "c1", "decision": "approve"}), _json({"text": "a"}), _json({"by": "ann"})]
    return random.choice(_NAMES), [random.choice(good) for _ in range(random.randrange(2, 6))]


def _too_few(random: Random) -> Signal:
    return random.choice(("decide", "say")), []


def _large(random: Random) -> Signal:
    size = random.choice((10_000, 100_000, LARGEST)) if random.randrange(8) == 0 else 1_000
    name = random.choice(("decide", "nosuch"))
    return name, [_json({"call_id": "x" * size, "decision": "other"})]


_KINDS: list[Callable[[Random], Signal]] = [
    *(_unknown, _no_object, _wrong_fields, _wrong_fields, _encoded, _garbled, _too_many, _too_few, _large),
]
