"""The token counts of an answer, any of which a host may omit."""

from collections.abc import Mapping
from typing import Any, cast

_TOO_MANY = 2**53
"""More than databases add up, and than readers of JSON can tell apart."""


def count(source: object, *path: str) -> int | None:
    """The number at the end of a path of attributes or keys, ``None`` where the provider omits it or it is no count."""
    for name in path:
        if isinstance(source, Mapping):
            source = cast("Mapping[str, Any]", source).get(name)
        else:
            source = getattr(source, name, None)
    return source if isinstance(source, int) and not isinstance(source, bool) and 0 <= source < _TOO_MANY else None
