"""Counts of an answer's tokens, read from what a provider sent, in which a host may leave out anything."""

from collections.abc import Mapping
from typing import Any, cast


def count(source: object, *path: str) -> int | None:
    """The number at the end of a path of attributes or keys, ``None`` where the provider did not say."""
    for name in path:
        if isinstance(source, Mapping):
            source = cast("Mapping[str, Any]", source).get(name)
        else:
            source = getattr(source, name, None)
    return source if isinstance(source, int) else None
