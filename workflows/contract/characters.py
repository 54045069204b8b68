"""Characters that no database and no JSON text of ours takes: halves of surrogate pairs, and NUL."""

import re
from typing import Any, cast

_BAD = re.compile("[\ud800-\udfff\0]")
REPLACEMENT = "\ufffd"


def clean(text: str) -> str:
    """The text with pairs of halves joined, and each lone half and each NUL replaced."""
    if not _BAD.search(text):
        return text
    joined = text.encode("utf-16-le", errors="surrogatepass").decode("utf-16-le", errors="replace")
    return joined.replace("\0", REPLACEMENT)


def split_half(text: str) -> tuple[str, str]:
    """A text without the first half of a pair at its end, and that half: the other half may come with the next text."""
    return (text[:-1], text[-1]) if "\ud800" <= text[-1:] <= "\udbff" else (text, "")


def clean_json(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """A JSON value whose texts are clean."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [clean_json(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {clean(key): clean_json(each) for key, each in cast("dict[str, Any]", value).items()}
    return value
