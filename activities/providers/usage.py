"""The token counts of an answer, any of which a host may omit."""

from collections.abc import Mapping
from typing import Any, cast


def count(source: object, *path: str) -> int | None:
    """The number at the end of a path of attributes or keys, ``None`` where the provider omits it."""
    for name in path:
        if isinstance(source, Mapping):
            source = cast("Mapping[str, Any]", source).get(name)
        else:
            source = getattr(source, name, None)
    return source if isinstance(source, int) else None
