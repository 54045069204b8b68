"""A client of the native API: starts a run, follows it through every interruption, speaks to it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx2
from pydantic import ValidationError

from longrun.workflows.contract.events import EVENT, TERMINAL, Event
from longrun.workflows.contract.runs import Decision

_QUIET = 45.0
"""Seconds without a byte after which a connection counts as dead: the server's keep-alives come every 15."""
_MOST_EVENT = 16 * 1024 * 1024
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_NOTHING_MORE = 204
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ClientError(Exception):
    """What was asked could not be done; the message is for a person."""


class UnreachableError(ClientError):
    """Nobody answers."""


class ApiError(ClientError):
    """The server refused.

    Args:
        status: The HTTP status.
        detail: Why, in the server's words.
        problem: The whole problem document.
    """

    def __init__(self, status: int, detail: str, problem: Mapping[str, Any]) -> None:
        super().__init__(detail)
        self.status = status
        self.problem = problem


class _InterruptedError(Exception):
    """An answer that did not come, or broke off: to be asked for again.

    Args:
        why: For the log and the last message.
        retry_after: Seconds that the server wants to be left alone.
        refused: Whether there was no connection at all.
    """

    def __init__(self, why: str, retry_after: float = 0.0, *, refused: bool = False) -> None:
        super().__init__(why)
        self.refused = refused
        self.retry_after = retry_after


@dataclass(frozen=True)
class Patience:
    """How often, and after how many seconds, a lost server is tried again before it is given up.

    ``attempts`` is for a stream, ``starts`` for the start of a run, whose caller has nothing yet.
    """

    attempts: int = 40
    starts: int = 5
    first: float = 0.1
    most: float = 5.0

    def pause(self, failures: int, retry_after: float) -> float:
        """Seconds to wait after so many failures in a row."""
        own = self.first * 2 ** min(failures - 1, 16)
        return min(self.most, max(own, retry_after))


@dataclass(frozen=True)
class Line:
    """One event of a log, as it was sent."""

    seq: int
    type: str
    data: str

    def event(self) -> Event | None:
        """The event; ``None`` if a newer server sends one that is not known here."""
        try:
            return EVENT.validate_json(self.data)
        except ValidationError:
            return None


@dataclass(frozen=True)
class Api:
    """The native API of one server.

    Args:
        http: Speaks to it; ``open_api`` makes a fitting one.
        patience: With interruptions.
        notice: Is told why, when an interruption begins.
    """

    http: httpx2.AsyncClient
    patience: Patience
    notice: Callable[[str], None]

    async def start(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Start a run, once even if the answer gets lost on the way; the run as it was accepted.

        Args:
            order: The body of ``POST /api/runs``.

        Raises:
            ClientError: It was refused, or nobody answers.
        """
        key = {"Idempotency-Key": str(uuid4())}
        failures = 0
        while True:
            try:
                return await self._json("POST", "/api/runs", order, key)
            except _InterruptedError as error:
                failures += 1
                if error.refused:
                    raise UnreachableError(str(error)) from error
                await self._wait(failures, self.patience.starts, error)

    async def get(self, run_id: str) -> dict[str, Any]:
        """A run as it stands.

        Raises:
            ClientError: There is none, or nobody answers.
        """
        return await self._once("GET", _path(run_id))

    async def cancel(self, run_id: str, reason: str | None, by: str) -> str:
        """End a run; what became of the wish: ``delivered``, ``accepted`` (kept for later) or ``over``.

        Raises:
            ClientError: It was refused, or nobody answers.
        """
        return (await self._once("POST", _path(run_id, "/cancel"), {"reason": reason, "by": by}))["delivery"]

    async def say(self, run_id: str, text: str, by: str) -> str:
        """Say something to a run; what became of it, as for ``cancel``.

        Raises:
            ClientError: It was refused, or nobody answers.
        """
        body = {"text": text, "by": by, "id": str(uuid4())}
        return (await self._once("POST", _path(run_id, "/messages"), body))["delivery"]

    async def decide(self, run_id: str, decision: Decision) -> None:
        """Decide a waiting call.

        Raises:
            ApiError: With status 409 if another decision came first; ``problem["decision"]`` is that one.
            ClientError: It was refused, or nobody answers.
        """
        body = decision.model_dump(mode="json", exclude={"call_id", "id"}, exclude_none=True)
        await self._once("POST", f"/api/approvals/{quote(decision.call_id, safe='')}", {**body, "run_id": run_id})

    async def follow(self, run_id: str, after: int = 0) -> AsyncGenerator[Line]:
        """The events of a run after a seq, each once and in order, to the run's end; interruptions are bridged.

        Raises:
            ApiError: There is no such run, or no such place in it.
            UnreachableError: The server is not there, or stayed away for too long.
        """
        cursor, failures, met = after, 0, False
        while True:
            try:
                async with aclosing(self._stream(run_id, cursor)) as lines:
                    async for line in lines:
                        met, failures = True, 0
                        if line.seq > cursor:
                            cursor = line.seq
                            yield line
            except _InterruptedError as error:
                failures += 1
                if error.refused and not met:
                    raise UnreachableError(str(error)) from error
                await self._wait(failures, self.patience.attempts, error)
                met = True
            else:
                return

    async def _stream(self, run_id: str, after: int) -> AsyncGenerator[Line]:
        """The events of one connection. It ends cleanly only with the run."""
        ended = False
        with _transport(self.http.base_url):
            async with self.http.stream("GET", _path(run_id, "/stream"), params={"starting_after": after}) as response:
                if response.status_code == _NOTHING_MORE:
                    return
                if not response.is_success:
                    await response.aread()
                _check(response, "text/event-stream")
                async for sse in httpx2.EventSource(response, max_event_size=_MOST_EVENT):
                    if sse.data:  # the server's farewell has none
                        ended = sse.event in TERMINAL
                        yield Line(int(sse.id), sse.event, sse.data)
        if not ended:
            raise _InterruptedError("the stream ended before the run")

    async def _wait(self, failures: int, most: int, error: _InterruptedError) -> None:
        if failures >= most:
            raise UnreachableError(f"gave up after {failures} attempts: {error}") from error
        if failures == 1:
            self.notice(str(error))
        await asyncio.sleep(self.patience.pause(failures, error.retry_after))

    async def _once(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            return await self._json(method, path, body)
        except _InterruptedError as error:
            raise UnreachableError(str(error)) from error

    async def _json(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        with _transport(self.http.base_url):
            response = await self.http.request(method, path, json=body, headers=headers)
        _check(response, "application/json")
        return response.json()


@asynccontextmanager
async def open_api(url: str, notice: Callable[[str], None], patience: Patience | None = None) -> AsyncGenerator[Api]:
    """The API of the server at ``url``; ``notice`` is told of interruptions.

    Raises:
        ClientError: That is no address of a server.
    """
    try:
        # A proxy does not know the way to this machine's own loopback address.
        foreign = httpx2.URL(url).host not in _LOOPBACK
        http = httpx2.AsyncClient(base_url=url, timeout=httpx2.Timeout(_QUIET, connect=10), trust_env=foreign)
    except httpx2.InvalidURL as error:
        raise ClientError(f"{url} is no address of a server: {error}") from error
    async with http:
        yield Api(http, patience or Patience(), notice)


def _path(run_id: str, rest: str = "") -> str:
    return f"/api/runs/{quote(run_id, safe='')}{rest}"


@contextmanager
def _transport(url: httpx2.URL) -> Generator[None]:
    """Failures on the way, as ours."""
    try:
        yield
    except httpx2.UnsupportedProtocol as error:
        raise ClientError(f"{url} is no address of a server: {error}") from error
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        why = f"nobody answers at {url}; `longrun dev` starts a server here, --url or LONGRUN_URL names another"
        raise _InterruptedError(why, refused=True) from error
    except httpx2.TransportError as error:
        raise _InterruptedError(f"the connection to {url} broke off ({type(error).__name__})") from error


def _check(response: httpx2.Response, wanted: str) -> None:
    """Let only an answer of the wanted type pass."""
    status = response.status_code
    kind = response.headers.get("content-type", "").partition(";")[0]
    problem: dict[str, Any] = response.json() if kind == "application/problem+json" else {}
    detail = problem.get("detail", f"the server answers {status}")
    if status in _AGAIN:
        after = response.headers.get("retry-after", "")
        raise _InterruptedError(detail, float(after) if after.isdecimal() else 0.0)
    if problem:
        raise ApiError(status, detail, problem)
    if kind != wanted or not response.is_success:
        raise ClientError(f"what answers at {response.request.url} is not longrun: {status} {kind}")
