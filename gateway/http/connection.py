"""A connection whose other end must go on: take what it is sent, and send the head of a request that it begins.

The limits are of the connection and not of a request, so that they hold for every answer, for a close that waits until
everything has been sent, and before there is a request at all.
"""

import asyncio
import fcntl
import socket
import struct
import termios
from asyncio.trsock import TransportSocket
from contextlib import suppress
from typing import ClassVar, cast

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 64 * 1024
"""Bytes of a request line with its headers."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's connection, closed when its other end takes nothing or does not finish the head of a request."""

    send_timeout: ClassVar[float] = 60.0
    head_timeout: ClassVar[float] = 30.0
    _sending: asyncio.TimerHandle | None = None
    _unsent: int = 0
    _head: asyncio.TimerHandle | None = None
    _head_size: int = 0

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:
        # Nothing is kept back for a reader who is slow: `send` waits as soon as the system's buffer is full.
        transport.set_write_buffer_limits(high=0)
        super().connection_made(transport)
        self._await_head()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._head_ended()
        self._taken()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None and not self.transport.is_closing():
            self._head_size += len(data)
            if self._head_size > MOST_HEAD:
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    @override
    def on_message_begin(self) -> None:
        if self._head is None:
            self._await_head()
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        self._head_ended()
        super().on_headers_complete()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent = self._count_unsent()
        self._sending = self.loop.call_later(self.send_timeout, self._look_whether_taken)

    @override
    def resume_writing(self) -> None:
        self._taken()
        super().resume_writing()

    def _await_head(self) -> None:
        self._head_size = 0
        self._head = self.loop.call_later(self.head_timeout, self.transport.close)

    def _head_ended(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _taken(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _reset(self) -> None:
        """End the connection: a close would wait until all is sent, and the system would keep what it has of it."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    @property
    def _socket(self) -> TransportSocket:
        return self.transport.get_extra_info("socket")

    def _count_unsent(self) -> int:
        """Bytes that the other end has not taken: ours, and those of the system, which refills its buffer late."""
        system = struct.pack("i", 0)
        with suppress(OSError):  # not every system says
            system = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, system)
        return self.transport.get_write_buffer_size() + struct.unpack("i", system)[0]

    def _look_whether_taken(self) -> None:
        """Drop a reader who has taken nothing at all since the last look; one that is only slow may go on."""
        unsent = self._count_unsent()
        if unsent >= self._unsent:
            self._reset()
            return
        self._unsent = unsent
        self._sending = self.loop.call_later(self.send_timeout, self._look_whether_taken)


def bounded(send_timeout: float, head_timeout: float) -> type[asyncio.Protocol]:
    """The kind of connections with these limits.

    Args:
        send_timeout: Seconds for which the other end may take nothing of what it is sent.
        head_timeout: Seconds that the head of a request may take.
    """
    limits = {"send_timeout": send_timeout, "head_timeout": head_timeout}
    return cast("type[asyncio.Protocol]", type("Connection", (BoundedConnection,), limits))
