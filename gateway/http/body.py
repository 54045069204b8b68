"""The body of a request: JSON of bounded size and depth, without what a database cannot keep."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from math import isfinite
from typing import cast

from pydantic_core import from_json
from starlette.requests import Request

from longrun.gateway.http.errors import wrong

MOST_BYTES = 8 * 1024 * 1024
MOST_DEPTH = 100
"""Levels of a body: the documents that hold it in the store and in Temporal add levels, and parsers end at 200."""

CURLS_OWN = "application/x-www-form-urlencoded"
_PARSED_DEPTH = 200
_SUSPECT = re.compile(rb"\\u0000|[eE]\+?\d{3}|\d{200}")
"""What a body has that is worth a walk through it: it may hold a NUL character or a number beyond all floats."""


async def read_json(request: Request) -> object:
    """The body as JSON; an empty one is an empty object.

    Raises:
        RequestError: It is too large (found without reading all of it), of another type, or not JSON.
    """
    raw = await _read(request)
    if not raw:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if packing := request.headers.get("content-encoding", "").strip():
        raise wrong("Content-Encoding", f"must not be {packing!r}: bodies are taken as they are", 415)
    # `curl -d` says form. A browser's form, which any page may send anywhere, says its origin too.
    if kind != "application/json" and (kind != CURLS_OWN or "origin" in request.headers):
        raise wrong("Content-Type", "must be application/json", 415)
    try:
        given: object = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise wrong("body", f"is not JSON: {error}", 400) from error
    _refuse_depth(raw)
    for path in _unfit(given) if _SUSPECT.search(raw) else ():
        raise wrong(".".join(path) or "body", "has a NUL character or a number that is out of range")
    return given


def _refuse_depth(raw: bytes) -> None:
    if raw.count(b"[") + raw.count(b"{") <= MOST_DEPTH:
        return
    around = _PARSED_DEPTH - MOST_DEPTH
    try:
        from_json(b"[" * around + raw + b"]" * around)
    except ValueError as error:
        raise wrong("body", f"has more than {MOST_DEPTH} levels", 400) from error


def _unfit(given: object) -> Iterator[tuple[str, ...]]:
    """Where the body has what JSON can say and PostgreSQL, or JSON itself, cannot keep."""
    inside: Iterable[tuple[object, object]] = ()
    if isinstance(given, dict):
        named = cast("dict[str, object]", given)
        inside = chain(named.items(), zip(named, named, strict=True))
    elif isinstance(given, list):
        inside = enumerate(cast("list[object]", given))
    elif "\0" in given if isinstance(given, str) else isinstance(given, float) and not isfinite(given):
        yield ()
    for name, value in inside:
        yield from ((str(name), *path) for path in _unfit(value))


async def _read(request: Request) -> bytes:
    too_large = wrong("body", f"is larger than {MOST_BYTES} bytes", 413)
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > MOST_BYTES:
        raise too_large
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            raise too_large
    return bytes(body)
