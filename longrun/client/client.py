"""The client of programs without an event loop."""

import logging
import time
from collections.abc import Callable, Generator, Mapping
from typing import Concatenate, ParamSpec, Self, TypeVar

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


def _sent(operation: Callable[P, Request[T]]) -> "Callable[Concatenate[Client, P], T]":
    """The method that sends an operation's request."""

    def method(self: "Client", *args: P.args, **kwargs: P.kwargs) -> T:
        return self.send(operation(*args, **kwargs))

    operations.describe(method, operation)
    return method


class Client:
    """The API of one server. A context manager; ``close`` ends its connections.

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
        self._http = httpx2.Client(**http_options(url, api_key, headers))
        self._retries = Retries(retry or RetryPolicy(), on_interruption)

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End its connections."""
        self.close()

    def close(self) -> None:
        """End its connections."""
        self._http.close()

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

    def stream_run(self, run_id: str, after: int = 0, view: LogView | None = None) -> Generator[AnyEvent]:
        """The events of a run after a seq, each once and in order, to the run's end.

        A connection that breaks is replaced by a new one, which goes on after the last seq.

        Args:
            run_id: The run.
            after: The seq of the last event that is not wanted again.
            view: ``raw``: all events; ``settled``: all but the superseded ones, the default once the run has ended.
        """
        for line in self.stream_lines(run_id, after, view):
            yield line.event()

    def stream_lines(self, run_id: str, after: int = 0, view: LogView | None = None) -> Generator[Line]:
        """The same as ``stream_run``, as it was sent."""
        reading = Reading(run_id, after, view)
        attempts = self._retries.of_stream()
        while True:
            try:
                for line in self._connect(reading, attempts):
                    attempts.progress()
                    yield line
            except InterruptionError as error:
                time.sleep(attempts.fail(error))
            else:
                return

    def _connect(self, reading: Reading, attempts: Attempts) -> Generator[Line]:
        """The events of one connection."""
        request = reading.request
        with transport_errors(self._http.base_url), self._http.stream(request.method, **request.options) as response:
            attempts.connect()
            if not response.is_success:
                response.read()
            if reading.accept(response):
                for sent in httpx2.EventSource(response, MAX_EVENT_SIZE):
                    if line := reading.take(sent):
                        yield line
        reading.close()

    def send(self, request: Request[T]) -> T:
        """Send a request, again if it is interrupted; its result."""
        attempts = self._retries.of_request(repeatable=request.repeatable)
        while True:
            try:
                with transport_errors(self._http.base_url):
                    response = self._http.request(request.method, **request.options)
                attempts.connect()
                return request.read(response)
            except InterruptionError as error:
                time.sleep(attempts.fail(error))
