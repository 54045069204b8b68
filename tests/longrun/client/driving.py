"""Both kinds of client, driven from a test in the same way: the blocking one in threads."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import pytest

from longrun.client import AnyEvent, AsyncClient, Client, Line, RetryPolicy
from longrun.client.request import Request

P = ParamSpec("P")
T = TypeVar("T")

EITHER = pytest.mark.parametrize("kind", [Client, AsyncClient])
Kind = type[Client] | type[AsyncClient]
LONG = RetryPolicy(attempts=400, stream_attempts=400, initial_interval=0.02, maximum_interval=0.1)
"""For a server that comes back when the test starts it again."""


@dataclass(frozen=True)
class Driver:
    """A client of either kind. ``interruptions`` are the notices that it gave."""

    client: Client | AsyncClient
    interruptions: list[str] = field(default_factory=list[str])

    async def ask(self, operation: Callable[P, Request[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the client's method of an operation."""
        method = getattr(self.client, operation.__name__)
        if isinstance(self.client, AsyncClient):
            return await method(*args, **kwargs)
        return await asyncio.to_thread(method, *args, **kwargs)

    async def read(self, run_id: str, after: int = 0, into: list[AnyEvent] | None = None) -> list[AnyEvent]:
        """The events of a stream to its end; put into a list as they come."""
        events: list[AnyEvent] = [] if into is None else into
        if isinstance(self.client, AsyncClient):
            async for event in self.client.stream_run(run_id, after):
                events.append(event)  # noqa: PERF401 - who looks at the list meanwhile sees each event
        else:
            await asyncio.to_thread(_collect, self.client.stream_run(run_id, after), events)
        return events

    async def lines(self, run_id: str, after: int = 0) -> list[Line]:
        """The lines of a stream to its end."""
        if isinstance(self.client, AsyncClient):
            return [line async for line in self.client.stream_lines(run_id, after)]
        return await asyncio.to_thread(list[Line], self.client.stream_lines(run_id, after))


def _collect(stream: Iterable[AnyEvent], into: list[AnyEvent]) -> None:
    for event in stream:
        into.append(event)  # noqa: PERF402 - as above


@asynccontextmanager
async def driving(kind: Kind, url: str, retry: RetryPolicy, **headers: str) -> AsyncGenerator[Driver]:
    """A client of this kind for the server at an address."""
    interruptions: list[str] = []
    client = kind(url, retry=retry, on_interruption=interruptions.append, headers=headers)
    async with AsyncExitStack() as stack:
        if isinstance(client, AsyncClient):
            await stack.enter_async_context(client)
        else:
            stack.enter_context(client)
        yield Driver(client, interruptions)
