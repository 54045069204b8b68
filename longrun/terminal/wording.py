"""Texts of models and tools for a terminal: shortened, and without control characters."""

import json

from pydantic import JsonValue

from longrun.workflows.contract.messages import Usage

_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
_REORDERING = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_HALVES = range(0xD800, 0xE000)
_HIDDEN = {**dict.fromkeys((*_CONTROLS, *_REORDERING, *_HALVES), "\ufffd"), 0x9: "\t", 0xA: "\n", 0xD: ""}
MOST_ARGUMENTS = 400
"""Characters of a call that are shown where it is mentioned."""


def clean(text: str) -> str:
    """The text without control characters, characters that reverse the direction, and lone surrogates."""
    return text.translate(_HIDDEN)


def shortened(text: str, most: int) -> str:
    """The text on one line, cut to ``most`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def signature(name: str, arguments: str, most: int = MOST_ARGUMENTS) -> str:
    """A call as one line: ``name(key: value, …)``."""
    try:
        values: JsonValue = json.loads(arguments)
    except ValueError:
        values = None
    if isinstance(values, dict):
        arguments = ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())
    return clean(shortened(f"{name}({arguments})", most))


def whole(arguments: str) -> str:
    """All arguments of a call, one under the other."""
    try:
        return clean(json.dumps(json.loads(arguments), ensure_ascii=False, indent=2))
    except ValueError:
        return clean(arguments)


def counted(usage: Usage) -> str:
    """Tokens in and out, as far as they are known."""
    known = [(usage.input_tokens, "in"), (usage.output_tokens, "out")]
    return f"tokens: {', '.join(f'{count:,} {way}' for count, way in known if count is not None) or 'unknown'}"
