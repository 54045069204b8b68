"""A provider's server as it is on the wire: real sockets, raw bytes, and every request checked against the rules."""

import asyncio
import json
import socket
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from tests import pairing
from tests.wire_answers import SSE, Answer, Cut, Stall


@dataclass(frozen=True)
class Received:
    """A request as it came, and from which address."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: dict[str, Any]
    client: tuple[str, int]


@dataclass
class Wire:
    """A running server. ``base_url`` has no path: OpenAI's clients want ``/v1`` after it (``openai_url``).

    Answers are given in the order in which they were put in by ``play``; when none is left, the answer is a 500 that
    says so. A request that breaks a rule of ``tests.pairing`` is answered with a 400 and kept in ``violations``.
    """

    base_url: str
    requests: list[Received] = field(default_factory=list[Received])
    violations: list[str] = field(default_factory=list[str])
    answers: deque[Answer] = field(default_factory=deque[Answer])

    @property
    def openai_url(self) -> str:
        """The base URL for OpenAI's clients."""
        return f"{self.base_url}/v1"

    def play(self, *answers: Answer) -> None:
        """Put answers to the next requests into the queue."""
        self.answers.extend(answers)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        where = (scope["method"], scope["path"], scope["query_string"].decode())
        received = Received(*where, headers, json.loads(raw or b"{}"), scope["client"])
        self.requests.append(received)
        await self._answer(self._next(received), receive, send)

    def _next(self, received: Received) -> Answer:
        try:
            pairing.check(received.path, received.body)
        except AssertionError as broken:
            self.violations.append(f"{received.path}: {broken}")
            return Answer.error(400, {"type": "invalid_request_error", "message": str(broken)})
        if not self.answers:
            return Answer.error(500, {"type": "api_error", "message": "the test has no more answers"})
        return self.answers.popleft()

    async def _answer(self, answer: Answer, receive: Receive, send: Send) -> None:
        headers = {"content-type": SSE, **answer.headers}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        leaving = asyncio.create_task(self._watch(receive))
        try:
            for piece in answer.pieces:
                if isinstance(piece, Cut):
                    raise ConnectionAbortedError("the test cuts the connection here")
                if isinstance(piece, Stall):
                    piece.reached.set()
                    await self._stall(piece, leaving)
                else:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            leaving.cancel()
            await asyncio.wait([leaving])

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _stall(self, piece: Stall, leaving: "asyncio.Task[None]") -> None:
        going_on = asyncio.create_task(piece.go_on.wait())
        await asyncio.wait([going_on, leaving], return_when=asyncio.FIRST_COMPLETED)
        if leaving.done():
            piece.disconnected.set()
        going_on.cancel()
        await asyncio.wait([going_on])


class _Server(uvicorn.Server):
    """A server that leaves the signals to pytest."""

    @override
    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@asynccontextmanager
async def start() -> AsyncGenerator[Wire]:
    """Run a server on a free port; at the end, no request may have broken a rule."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        wire = Wire(f"http://127.0.0.1:{listener.getsockname()[1]}")
        config = uvicorn.Config(
            wire.serve,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield wire
        finally:
            server.should_exit = True
            await serving
    assert wire.violations == []
