"""One address for several gateways, as a load balancer gives: a connection goes to the next one that takes it."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await source.read(65536):
            sink.write(piece)
            await sink.drain()
    sink.close()


class _Balancer:
    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._turns = itertools.count()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = next(self._turns)
        for turn in range(len(self._ports)):
            with suppress(OSError):
                port = self._ports[(first + turn) % len(self._ports)]
                there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
                break
        else:
            writer.close()
            return
        try:
            await asyncio.gather(_pass_on(reader, there_writer), _pass_on(there_reader, writer))
        finally:
            there_writer.close()
            writer.close()


@asynccontextmanager
async def balanced(*ports: int) -> AsyncGenerator[str]:
    """The base URL of a balancer in front of these ports of the loopback address."""
    server = await asyncio.start_server(_Balancer(ports).carry, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
