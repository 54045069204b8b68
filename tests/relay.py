"""A way to a server that a test can cut."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress


class Relay:
    """Passes bytes on between clients and a server until it is cut, and again when it is mended.

    Args:
        address: The server's ``host:port``.
    """

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.rpartition(":")
        self._whole = True
        self._open: set[asyncio.StreamWriter] = set()
        self.address = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        if not self._whole:
            writer.close()
            return
        there_reader, there = await asyncio.open_connection(self._host, int(self._port))
        self._open |= {writer, there}
        await asyncio.gather(self._pass(reader, there), self._pass(there_reader, writer))
        self._open -= {writer, there}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(65_536):
                writer.write(piece)
                await writer.drain()
        writer.close()

    def cut(self) -> None:
        """Break every connection off, and let none come about."""
        self._whole = False
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        """Let clients through again."""
        self._whole = True


@asynccontextmanager
async def relayed(address: str) -> AsyncGenerator[Relay]:
    """A relay to a server, on a port of its own."""
    relay = Relay(address)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    relay.address = f"{host}:{port}"
    try:
        async with server:
            yield relay
    finally:
        relay.cut()
