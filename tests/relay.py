"""A way to a server that a test can hold up or cut."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Relay:
    """Carries bytes to a server and back. What it holds up it still delivers; what it cuts is lost."""

    target: str
    address: str = ""
    _flows: asyncio.Event = field(default_factory=asyncio.Event)
    _ends: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])
    _down: bool = False
    _mute: bool = False

    def __post_init__(self) -> None:
        self._flows.set()

    def hold(self) -> None:
        """Let nothing through any more."""
        self._flows.clear()

    def cut(self) -> None:
        """Break every connection, and take no new one."""
        self._down = True
        for end in self._ends:
            end.transport.abort()
        self._flows.set()

    def mute(self) -> None:
        """Break each connection when the server answers: requests arrive, and answers are lost."""
        self._mute = True

    def mend(self) -> None:
        """Take connections, and carry answers, again."""
        self._down = self._mute = False

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if self._down:
            writer.transport.abort()
            return
        host, _, port = self.target.rpartition(":")
        answers, there = await asyncio.open_connection(host, int(port))
        self._ends |= {writer, there}
        try:
            await asyncio.gather(self._pump(reader, there), self._pump(answers, writer, answering=True))
        finally:
            self._ends -= {writer, there}

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answering: bool = False) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                await self._flows.wait()
                if answering and self._mute:
                    sink.transport.abort()
                    return
                sink.write(data)
                await sink.drain()
        sink.close()
        with suppress(ConnectionError):
            await sink.wait_closed()


@asynccontextmanager
async def relayed(target: str) -> AsyncGenerator[Relay]:
    """A relay on a port of its own."""
    relay = Relay(target)
    server = await asyncio.start_server(relay.carry, "127.0.0.1", 0)
    relay.address = "{}:{}".format(*server.sockets[0].getsockname())
    try:
        yield relay
    finally:
        server.close()
        relay.cut()
        await server.wait_closed()
