"""A reader of SSE streams that costs little: one callback per piece of a socket, nothing is parsed before the end."""

import asyncio
import time
from dataclasses import dataclass, field

import httptools
from typing_extensions import override


class BadAnswerError(Exception):
    """The gateway answered something else than what was measured."""


@dataclass
class Answer:
    """One answer: when it was asked for, and its body in pieces with the times at which they came."""

    requested: int
    status: int = 0
    pieces: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    ended: int = 0

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(piece for _, piece in self.pieces)

    def frames(self) -> list[tuple[int, bytes]]:
        """The SSE frames without comments, each with the time at which it was whole."""
        found: list[tuple[int, bytes]] = []
        tail = b""
        for came, piece in self.pieces:
            *whole, tail = (tail + piece).split(b"\n\n")
            found += [(came, frame) for frame in whole if not frame.startswith(b":")]
        return found

    def completed(self) -> "Answer":
        """The answer itself, if it is the whole stream of a run that completed.

        Raises:
            BadAnswerError: It is not.
        """
        frames = self.frames()
        if self.status // 100 != 2 or not frames or b"event: run.completed\n" not in frames[-1][1]:
            raise BadAnswerError(f"status {self.status}, ends with {self.body[-500:]!r}")
        return self


class Connection(asyncio.Protocol):
    """One keep-alive connection: a request, its answer, the next request."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer = Answer(0)
        self._came = 0
        self._end: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect to a port of the loopback address."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    @property
    def open_still(self) -> bool:
        """Whether the server has not closed it, as it does with what is idle for some seconds."""
        return self._transport is not None and not self._transport.is_closing()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        self._came = time.monotonic_ns()
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._answer.pieces.append((self._came, body))

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._answer.status = self._parser.get_status_code()
        self._answer.ended = self._came
        self._end.set_result(self._answer)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self._end.done():
            so_far = self._answer.body[-500:]
            self._end.set_exception(BadAnswerError(f"the connection was lost after {so_far!r}: {exc}"))
            self._end.exception()  # seen: a connection that nobody waits for may end

    async def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Ask, and wait for the whole answer."""
        assert self._transport is not None
        self._parser = httptools.HttpResponseParser(self)
        self._end = asyncio.get_running_loop().create_future()
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        self._answer = Answer(time.monotonic_ns())
        self._transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        return await self._end

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()
