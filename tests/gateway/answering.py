"""A server on a real socket that gives prepared answers, one per connection: whole, broken, refusing, silent."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from longrun.client import RetryPolicy
from longrun.workflows.contract.events import RunCompleted, TextDelta, encode, number
from longrun.workflows.contract.messages import Usage
from tests.build import START

QUICK = RetryPolicy(attempts=3, stream_attempts=4, initial_interval=0.001, maximum_interval=0.01)
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"


def frames(first: int, last: int, *, ends: bool = False) -> str:
    """The events of a run as its stream sends them; with ``ends`` the last one is its end."""
    found = ""
    for seq in range(first, last + 1):
        delta = TextDelta(run_id="r", step=1, attempt=1, at=START, message_id="m", part=0, delta=f"{seq} ")
        done = RunCompleted(run_id="r", at=START, stop_reason="end_turn", usage=Usage(), output="")
        event = done if ends and seq == last else delta
        found += f"id: {seq}\nevent: {event.type}\ndata: {number(seq, encode(event)).decode()}\n\n"
    return found


def whole(body: str) -> bytes:
    """An answer that is complete."""
    return f"{HEAD}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode()


def broken(body: str) -> bytes:
    """An answer whose connection ends in the middle."""
    return f"{HEAD}Content-Length: {len(body.encode()) + 100}\r\n\r\n{body}".encode()


def plain(status: str, body: object, kind: str = "application/json", more: str = "") -> bytes:
    """A JSON answer."""
    text = json.dumps(body)
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(text)}\r\n{more}\r\n{text}".encode()


def problem(status: str, detail: str, more: str = "", **members: object) -> bytes:
    return plain(status, {"detail": detail, **members}, "application/problem+json", more)


HANGS_UP = b""
UNAVAILABLE = problem("503 Service Unavailable", "the store does not answer")
RUN: Mapping[str, Any] = {
    "id": "r",
    "thread_id": "t",
    "agent": {"name": "clerk", "model": "openai/small"},
    "status": "running",
    "stop_reason": None,
    "created_at": "2026-01-01T00:00:00Z",
    "started_at": None,
    "ended_at": None,
    "step": 1,
    "turn": 1,
    "usage": {},
    "limits": {},
    "metadata": {},
    "output": None,
    "error": None,
    "pending_approvals": [],
    "links": {"stream": "/api/runs/r/stream", "events": "/api/runs/r/events"},
    "attempts": [],
    "tokens_billed": 0,
    "tokens_rebilled": 0,
}
"""A run, as ``GET /api/runs/r`` answers."""
DELIVERED = {"run_id": "r", "delivery": "delivered"}


@dataclass
class Played:
    """A server that gives its answers in order, one per connection, whatever is requested; it keeps the requests."""

    answers: Sequence[bytes]
    url: str = ""
    requests: list[str] = field(default_factory=list[str])
    headers: list[str] = field(default_factory=list[str])
    bodies: list[Any] = field(default_factory=list[Any])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next((int(h[16:]) for h in head.lower().split("\r\n") if h.startswith("content-length: ")), 0)
            body = await reader.readexactly(length)
            self.requests.append(head.split(" HTTP/")[0])
            self.headers.append(head.lower())
            self.bodies.append(json.loads(body) if body else None)
            writer.write(self.answers[len(self.requests) - 1])
            await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def playing(*answers: bytes) -> AsyncGenerator[Played]:
    """Serve the answers on a port of their own."""
    played = Played(answers)
    server = await asyncio.start_server(played.serve, "127.0.0.1", 0)
    played.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield played
