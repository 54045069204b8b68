"""Other ends of a connection that do not go on: they are dropped, and what they held is free again."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

import httpx2
import pytest

from longrun.gateway.http.connection import MOST_HEAD
from longrun.runtime.settings import Settings
from longrun.workflows.contract.requests import ModelCall
from tests.build import START, Stores, finish
from tests.harness import until
from tests.running import Front, serving

SHORT, LONG = 0.2, 600.0
STEPS, SIZE = 8, 1_000_000
"""A log of 16 MB: more than the system takes for a reader who takes nothing."""
PORTS: WeakKeyDictionary[socket.socket, tuple[int, int]] = WeakKeyDictionary()
"""Both ports of a connection, which it does not know any more once it has ended."""


@asynccontextmanager
async def opened(folder: Path, *, send: float = LONG, receive: float = LONG) -> AsyncGenerator[Front]:
    settings = Settings(home=folder, send_timeout=send, receive_timeout=receive)
    async with serving(settings) as front:
        yield front


async def long_run(front: Front) -> str:
    """A completed run with a long log."""
    stores = Stores.over(front.settings.database)
    try:
        run_id = (await stores.accept()).run_id
        await stores.runs.dispatched(run_id)
        for step in range(1, STEPS + 1):
            call = ModelCall(run_id=run_id, step=step)
            await stores.babble(call, await stores.begin(call), ["x" * SIZE, "x" * SIZE])
        await stores.runs.finish(finish(run_id), START)
    finally:
        await stores.database.aclose()
    return run_id


@contextmanager
def dialled(front: Front, request: bytes = b"") -> Generator[socket.socket]:
    """A connection that takes as little as the system allows, and what it has said."""
    url = httpx2.URL(front.base_url)
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect((url.host, url.port))
        PORTS[line] = (line.getsockname()[1], url.port or 0)
        line.setblocking(False)
        line.sendall(request)
        yield line


def server_side(line: socket.socket) -> bool:
    """Whether this process, which is the server too, still has a descriptor of the other end of a connection."""
    here, there = PORTS[line]
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if (port_of(row[1]), port_of(row[2])) == (there, here)}
    held = {match[1] for match in map(re.compile(r"socket:\[(\d+)\]").fullmatch, descriptors()) if match}
    return bool(inodes & held)


def port_of(address: str) -> int:
    return int(address.partition(":")[2], 16)


def descriptors() -> Generator[str]:
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 - the links are read by number
        try:
            yield os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115 - what it leads to is no path
        except OSError:
            continue


async def taken(line: socket.socket) -> None:
    """Wait until the server has its end."""

    async def accepted() -> bool:
        return server_side(line)

    await until(accepted, "the connection to be accepted")


async def dropped(line: socket.socket) -> None:
    """Wait until the server has closed its end."""

    async def closed() -> bool:
        return not server_side(line)

    await until(closed, "the descriptor to be closed")


async def received(line: socket.socket) -> bytes:
    """All that comes to the end of a connection."""
    found = bytearray()
    while piece := await asyncio.get_running_loop().sock_recv(line, 65536):
        found += piece
    return bytes(found)


async def test_a_reader_who_takes_nothing_is_dropped_and_others_are_served(tmp_path: Path) -> None:
    async with opened(tmp_path, send=SHORT) as front:
        run_id = await long_run(front)
        path = f"/api/runs/{run_id}/stream?view=raw"
        with dialled(front, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()) as line:
            await taken(line)
            whole = await front.http.get(path)
            assert whole.status_code == 200
            assert len(whole.content) > 2 * STEPS * SIZE
            assert (await front.http.get("/api/health")).status_code == 200
            await dropped(line)
            with pytest.raises(ConnectionResetError):
                await received(line)


async def test_a_reader_who_is_slow_is_not_dropped(tmp_path: Path) -> None:
    async with opened(tmp_path, send=SHORT) as front:
        run_id = await long_run(front)
        path = f"/api/runs/{run_id}/stream?view=raw"
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        with dialled(front, head.encode()) as line:
            found = bytearray()
            loop = asyncio.get_running_loop()
            for _ in range(20):  # several times the limit in all, and never the limit at once
                await asyncio.sleep(SHORT / 4)
                found += await loop.sock_recv(line, 262_144)
            found += await received(line)
        assert found.endswith(b"\r\n0\r\n\r\n")


async def test_an_answer_that_is_not_a_stream_is_given_up_too(tmp_path: Path) -> None:
    async with opened(tmp_path, send=SHORT) as front:
        run_id = await long_run(front)
        request = f"GET /api/runs/{run_id}/events?view=raw&limit=5000 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with dialled(front, request.encode()) as line:
            await taken(line)
            await dropped(line)


@pytest.mark.parametrize(
    "head", [b"", b"GET /api/runs HTTP/1.1\r\n", b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nX: "]
)
async def test_a_request_whose_head_does_not_come_is_given_up(tmp_path: Path, head: bytes) -> None:
    async with opened(tmp_path, receive=SHORT) as front:
        with dialled(front, head) as line:
            await taken(line)
            assert await received(line) == b""
            await dropped(line)
        with dialled(front, b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n") as line:
            answer = await asyncio.get_running_loop().sock_recv(line, 65536)
            assert answer.startswith(b"HTTP/1.1 200")
            line.sendall(head or b"G")
            assert await received(line) == b""


async def test_a_connection_that_is_kept_open_waits_for_its_next_request(tmp_path: Path) -> None:
    request = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with opened(tmp_path, receive=SHORT) as front:
        with dialled(front, request) as line:
            for _ in range(3):
                answer = await asyncio.get_running_loop().sock_recv(line, 65536)
                assert answer.startswith(b"HTTP/1.1 200")
                await asyncio.sleep(2 * SHORT)
                line.sendall(request)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_stops_in_the_middle_is_answered_408_and_closed(tmp_path: Path, *, chunked: bool) -> None:
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 1000"
    start = b'8\r\n{"agent"\r\n' if chunked else b'{"agent"'
    head = b"POST /api/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%b\r\n\r\n" % length
    async with opened(tmp_path, receive=SHORT) as front:
        with dialled(front, head + start) as line:
            answer = await received(line)
            await dropped(line)
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b"\r\nconnection: close\r\n" in answer
        assert b"application/problem+json" in answer
        assert (await front.http.get("/api/runs")).json()["runs"] == []


async def test_a_body_that_comes_slowly_is_taken(tmp_path: Path) -> None:
    body = b'{"agent": {"model": "scripted/x"}, "input": "go"}'
    head = b"POST /api/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    async with opened(tmp_path, receive=SHORT) as front:
        with dialled(front, head % len(body)) as line:
            for start in range(0, len(body), 4):
                line.sendall(body[start : start + 4])
                await asyncio.sleep(SHORT / 4)
            assert (await asyncio.get_running_loop().sock_recv(line, 65536)).startswith(b"HTTP/1.1 201")


async def test_a_body_that_nobody_reads_does_not_end_a_stream(tmp_path: Path) -> None:
    async with opened(tmp_path, receive=SHORT) as front:
        run = await front.start({"model": "scripted/x"})
        head = f"GET {run['links']['stream']} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with dialled(front, head.encode()) as line:
            answer = await asyncio.get_running_loop().sock_recv(line, 65536)
            await asyncio.sleep(2 * SHORT)
            assert b"200 OK" in answer
            await taken(line)


@pytest.mark.parametrize("head", [b"X: " + b"x" * 2 * MOST_HEAD, b"X: y\r\n" * (MOST_HEAD // 3), b""])
async def test_a_head_without_end_is_refused(tmp_path: Path, head: bytes) -> None:
    start = b"GET /api/health HTTP/1.1\r\n" if head else b"GET /" + b"x" * 2 * MOST_HEAD
    async with opened(tmp_path) as front:
        with dialled(front) as line:
            loop = asyncio.get_running_loop()
            sending = asyncio.create_task(loop.sock_sendall(line, start + head))
            answer = await loop.sock_recv(line, 65536)
            sending.cancel()
            assert answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
            await dropped(line)
        assert (await front.http.get("/api/health")).status_code == 200
