"""What a tool's docstring says, apart: the text for the model, and a sentence for each parameter."""

import re
from dataclasses import dataclass, field

_ARGUMENTS = re.compile(r"^(Args|Arguments|Parameters):$")
_FOR_PROGRAMMERS = re.compile(r"^(Raises|Yields|Example|Examples):$")
_PARAMETER = re.compile(r"^\s+(?P<name>\w+)(?: ?\([^)]*\))?:\s*(?P<text>.*)$")


@dataclass
class Docstring:
    """``text`` is everything but the sections about arguments and errors."""

    text: str = ""
    parameters: dict[str, str] = field(default_factory=dict[str, str])


def parse_docstring(cleaned: str) -> Docstring:
    """Take a Google-style docstring apart.

    Args:
        cleaned: The docstring without its indentation, as ``inspect.getdoc`` gives it.
    """
    text: list[str] = []
    arguments: list[str] = []
    target = text
    for line in cleaned.splitlines():
        if _ARGUMENTS.match(line):
            target = arguments
        elif _FOR_PROGRAMMERS.match(line):
            target = []
        else:
            if line and not line.startswith(" "):
                target = text
            target.append(line)
    return Docstring(re.sub(r"\n{3,}", "\n\n", "\n".join(text)).strip(), _parameters(arguments))


def _parameters(lines: list[str]) -> dict[str, str]:
    """The sentences of an ``Args`` section; a line that is indented deeper goes on with the one before."""
    found: dict[str, list[str]] = {}
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    words: list[str] = []
    for line in lines:
        match = _PARAMETER.match(line)
        if match and len(line) - len(line.lstrip()) == indent:
            words = found.setdefault(match["name"], [])
            words.append(match["text"])
        elif line.strip():
            words.append(line.strip())
    return {name: " ".join(parts).strip() for name, parts in found.items()}
