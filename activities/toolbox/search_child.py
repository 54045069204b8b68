"""Searches files for a regular expression, as a script of its own: ``python -I search_child.py``.

A regular expression can take for ever, and nothing else runs in its process meanwhile: it gets one that can be killed.
On stdin comes ``{"pattern": …, "files": [[shown, path], …]}``. Only the standard library is used: it must run isolated.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_MATCHES = 200
MAX_LINE_CHARS = 300
MAX_FILE_BYTES = 2 * 1024 * 1024
_SNIFFED_BYTES = 8192


def matches(pattern: re.Pattern[str], files: list[tuple[str, str]]) -> Iterator[str]:
    """The matching lines of all files that are text, as ``path:line: text``."""
    for shown, path in files:
        for number, line in enumerate(lines_of(Path(path)), start=1):
            if pattern.search(line):
                cut = "..." if len(line) > MAX_LINE_CHARS else ""
                yield f"{shown}:{number}: {line[:MAX_LINE_CHARS]}{cut}"


def lines_of(path: Path) -> list[str]:
    """The lines of a text file; none of one that is binary, too large or gone."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return []
        data = path.read_bytes()
    except OSError:
        return []
    return [] if b"\0" in data[:_SNIFFED_BYTES] else data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")


def search(pattern: str, files: list[tuple[str, str]]) -> Iterator[str]:
    """The lines to print, with a note where there would be more."""
    for count, line in enumerate(matches(re.compile(pattern), files)):
        if count == MAX_MATCHES:
            yield f"... and more: only the first {MAX_MATCHES} matches are shown"
            return
        yield line


def main() -> None:
    """Search, or say what is wrong with the expression."""
    request = json.loads(sys.stdin.buffer.read())
    try:
        for line in search(request["pattern"], request["files"]):
            sys.stdout.write(f"{line}\n")
    except (re.error, RecursionError, OverflowError) as exc:
        sys.exit(f"{request['pattern']!r} is not a regular expression: {exc}")


if __name__ == "__main__":
    main()
