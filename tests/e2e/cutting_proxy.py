"""A page for a browser, and a way to a gateway from the page's own origin that breaks off after so many events."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_REQUEST = re.compile(rb"GET /cut/(\d+)(/\S+) HTTP/1\.1\r\n")
_LAST_ID = re.compile(rb"\r\nlast-event-id: *(\d+)\r\n", re.IGNORECASE)
_FRAME_END = b"\n\n"
_PAGE = b"<!doctype html><title>Streams</title>"
_PAGE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"


@dataclass
class CuttingProxy:
    """Carries ``/cut/N/PATH`` to the gateway's ``/PATH``: a first answer up to its Nth event, a later one whole.

    What it has passed on of a first answer stays open until the page says that it has seen the Nth event: a browser
    may throw away what came right before the end of a broken connection.
    """

    gateway: tuple[str, int]
    url: str = ""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _seen: defaultdict[int, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    returned: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Who came back: where it was cut, and the id that it came with."""

    def saw(self, cut: int) -> None:
        """Break off the answer that is to be cut after this event."""
        self._seen[cut].set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Serve nobody any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection has one request."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            request = _REQUEST.match(head)
            if request:
                await self._carry(int(request[1]), _REQUEST.sub(rb"GET \2 HTTP/1.1\r\n", head), writer)
            else:
                writer.write(_PAGE_HEAD % len(_PAGE) + _PAGE)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # a browser opens connections that it may not need
        finally:
            writer.close()

    async def _carry(self, cut: int, head: bytes, writer: asyncio.StreamWriter) -> None:
        seen = _LAST_ID.search(head)
        if seen:
            self.returned.append((cut, int(seen[1])))
        answer, gateway = await asyncio.open_connection(*self.gateway)
        try:
            gateway.write(re.sub(rb"\r\nconnection: [^\r]*", b"\r\nConnection: close", head, flags=re.IGNORECASE))
            await _pass_on(answer, writer, None if seen else cut)
            if not seen:
                await self._seen[cut].wait()
                del self._seen[cut]
        finally:
            gateway.transport.abort()


async def _pass_on(answer: asyncio.StreamReader, writer: asyncio.StreamWriter, frames: int | None) -> None:
    """Pass an answer on, up to the end of so many frames or to its own."""
    while piece := await answer.read(65536):
        whole = piece.split(_FRAME_END)
        if frames is not None and len(whole) > frames:
            writer.write(_FRAME_END.join(whole[:frames]) + _FRAME_END)
            return
        if frames is not None:
            frames -= len(whole) - 1
        writer.write(piece)
        await writer.drain()


@asynccontextmanager
async def cutting_proxy(gateway_port: int) -> AsyncGenerator[CuttingProxy]:
    """A proxy on a port of its own before a gateway on this machine."""
    proxy = CuttingProxy(("127.0.0.1", gateway_port))
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.url = "http://{}:{}".format(*server.sockets[0].getsockname())
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
