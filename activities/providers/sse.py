"""Server-sent events out of the bytes of an answer: what hosts really send, which the SDKs' parsers do not all take."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import NamedTuple

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_FIELDS = frozenset({b"data", b"event", b"id", b"retry"})
MOST_BYTES = 16 * 1024 * 1024
"""Of one event, and of a body that is no stream."""


class ServerSentEvent(NamedTuple):
    """An event with data; ``event`` is empty where the host names none."""

    event: str
    data: str


class TooLongError(ValueError):
    """An event, or a body that is no stream, has more than ``MOST_BYTES``."""


@dataclass
class Decoder:
    """Decodes one body, piece by piece.

    Lines end with CR, LF or both, also where a piece ends between the two. An event without data is none. What is
    neither a field nor a comment is kept as ``foreign``: the lines of a body that is no stream.
    """

    foreign: list[bytes] = field(default_factory=list[bytes])
    _start: bool = True
    _tail: bytes = b""
    _event: bytes = b""
    _data: list[bytes] = field(default_factory=list[bytes])
    _size: int = 0

    def decode(self, piece: bytes) -> list[ServerSentEvent]:
        """The events that end in this piece.

        Raises:
            TooLongError: One of them is too long.
        """
        buffer = self._tail + piece
        if self._start:
            if _BOM.startswith(buffer[:3]) and len(buffer) < len(_BOM):
                self._tail = buffer
                return []
            self._start = False
            buffer = buffer.removeprefix(_BOM)
        # A CR at the end may be the first half of a line end.
        end = len(buffer) - 1 if buffer.endswith(b"\r") else len(buffer)
        *lines, unfinished = _LINE_END.split(buffer[:end])
        self._tail = unfinished + buffer[end:]
        self._grow(len(self._tail), keep=False)
        return [event for line in lines if (event := self._line(line))]

    def end(self) -> list[ServerSentEvent]:
        """The event that the end of the body ends: hosts leave out the blank line after their last one."""
        lines = _LINE_END.split(self._tail) if self._tail else []
        self._tail = b""
        return [event for line in [*lines, b""] if (event := self._line(line))]

    def _line(self, line: bytes) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        if name in _FIELDS:
            value = value.removeprefix(b" ")
            if name == b"data":
                self._data.append(value)
                self._grow(len(value))
            elif name == b"event":
                self._event = value
        elif name:
            self.foreign.append(line)
            self._grow(len(line))
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        event, data = self._event, b"\n".join(self._data)
        self._event, self._data = b"", []
        self._size = sum(map(len, self.foreign))
        return ServerSentEvent(_text(event) if event else "", _text(data)) if data else None

    def _grow(self, size: int, *, keep: bool = True) -> None:
        if self._size + size > MOST_BYTES:
            raise TooLongError(f"more than {MOST_BYTES} bytes without an end")
        if keep:
            self._size += size


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace")


async def decoded(pieces: AsyncIterator[bytes], decoder: Decoder) -> AsyncGenerator[list[ServerSentEvent]]:
    """The events of a body, as many at a time as have come.

    Raises:
        TooLongError: One of them is too long.
    """
    async for piece in pieces:
        if events := decoder.decode(piece):
            yield events
    yield decoder.end()
