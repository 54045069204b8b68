"""The client of programs on asyncio."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx2

from longrun.client import operations
from longrun.client.connection import http_options, transport_errors
from longrun.client.errors import InterruptionError
from longrun.client.log import MAX_EVENT_SIZE, AnyEvent, Line, Reading
from longrun.client.request import Request
from longrun.client.retries import Attempts, Retries, RetryPolicy
from longrun.workflows.contract.views import LogView

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)


def _sent(operation: Callable[P, Request[T]]) -> "Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]":
    """The method that sends an operation's request."""

    async def method(self: "AsyncClient", *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.send(operation(*args, **kwargs))

    operations.describe(method, operation)
    return method


class AsyncClient:
    """The API of one server. A context manager; ``aclose`` ends its connections.

    Every method may raise ``ApiError`` (the server refused) and ``UnreachableError`` (it does not answer), both of them
    ``ClientError``. Interrupted requests are repeated where that is harmless.

    Args:
        url: The server; by default ``LONGRUN_URL``, else the ``longrun dev`` of this folder, else this machine's.
        api_key: The server's key; by default ``LONGRUN_API_KEY``.
        headers: For every request: what a proxy before the server may want.
        retry: How often and when interrupted requests are sent again.
        on_interruption: Is given the reason when an interruption begins; by default it is logged.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        retry: RetryPolicy | None = None,
        on_interruption: Callable[[str], None] = logger.warning,
    ) -> None:
        self._http = httpx2.AsyncClient(**http_options(url, api_key, headers))
        self._retries = Retries(retry or RetryPolicy(), on_interruption)

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End its connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """End its connections."""
        await self._http.aclose()

    start_run = _sent(operations.start_run)
    get_run = _sent(operations.get_run)
    list_runs = _sent(operations.list_runs)
    cancel_run = _sent(operations.cancel_run)
    say_to_run = _sent(operations.say_to_run)
    get_result = _sent(operations.get_result)
    list_events = _sent(operations.list_events)
    list_approvals = _sent(operations.list_approvals)
    decide = _sent(operations.decide)
    create_agent = _sent(operations.create_agent)
    list_agents = _sent(operations.list_agents)
    get_agent = _sent(operations.get_agent)
    update_agent = _sent(operations.update_agent)
    delete_agent = _sent(operations.delete_agent)
    list_tools = _sent(operations.list_tools)
    get_health = _sent(operations.get_health)
    get_readiness = _sent(operations.get_readiness)
    get_openapi = _sent(operations.get_openapi)

    async def stream_run(self, run_id: str, after: int = 0, view: LogView | None = None) -> AsyncGenerator[AnyEvent]:
        """The events of a run after a seq, each once and in order, to the run's end.

        A connection that breaks is replaced by a new one, which goes on after the last seq. Who may stop before the end
        uses ``contextlib.aclosing``, so that the connection ends with the reading.

        Args:
            run_id: The run.
            after: The seq of the last event that is not wanted again.
            view: ``raw``: all events; ``settled``: all but the superseded ones, the default once the run has ended.
        """
        async with aclosing(self.stream_lines(run_id, after, view)) as lines:
            async for line in lines:
                yield line.event()

    async def stream_lines(self, run_id: str, after: int = 0, view: LogView | None = None) -> AsyncGenerator[Line]:
        """The same as ``stream_run``, as it was sent."""
        reading = Reading(run_id, after, view)
        attempts = self._retries.of_stream()
        while True:
            try:
                async with aclosing(self._connect(reading, attempts)) as lines:
                    async for line in lines:
                        attempts.progress()
                        yield line
            except InterruptionError as error:
                await asyncio.sleep(attempts.fail(error))
            else:
                return

    async def _connect(self, reading: Reading, attempts: Attempts) -> AsyncGenerator[Line]:
        """The events of one connection."""
        request = reading.request
        with transport_errors(self._http.base_url):
            async with self._http.stream(request.method, **request.options) as response:
                attempts.connect()
                if not response.is_success:
                    await response.aread()
                if reading.accept(response):
                    async for sent in httpx2.EventSource(response, MAX_EVENT_SIZE):
                        if line := reading.take(sent):
                            yield line
        reading.close()

    async def send(self, request: Request[T]) -> T:
        """Send a request, again if it is interrupted; its result."""
        attempts = self._retries.of_request(repeatable=request.repeatable)
        while True:
            try:
                with transport_errors(self._http.base_url):
                    response = await self._http.request(request.method, **request.options)
                attempts.connect()
                return request.read(response)
            except InterruptionError as error:
                await asyncio.sleep(attempts.fail(error))
