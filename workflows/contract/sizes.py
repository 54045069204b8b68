"""How large things are in bytes of JSON, which is what Temporal counts."""

from pydantic import BaseModel
from pydantic_core import to_json


def size_of(value: BaseModel | str) -> int:
    """The bytes of a value as JSON."""
    return len(to_json(value))


def beginning(text: str, most: int) -> str:
    """A text, or so much of its beginning that it takes at most about so many bytes, and how long it is."""
    size = size_of(text)
    if size <= most:
        return text
    kept = text[: most * len(text) // size]
    while kept and size_of(kept) > most:
        kept = kept[: len(kept) * most // size_of(kept)]
    return f"{kept} [cut: the first {len(kept)} of {len(text)} characters]"
