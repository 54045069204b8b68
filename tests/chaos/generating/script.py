"""A whole answer as prepared bytes, in the order of its generation."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Script:
    """The events of an answer, each as its bytes.

    Args:
        opening: What comes before the wait for the first token.
        started: What comes after it.
        tokens: For each token its event, with those that open a part before it and those that close it after it.
        ending: What ends the stream.
        output: The finished items, for who asks for the whole; Responses only.
    """

    opening: list[bytes]
    started: list[bytes]
    tokens: list[list[bytes]]
    ending: list[bytes]
    output: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
