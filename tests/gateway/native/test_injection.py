"""Requests that are made to be read in two ways: raw bytes to the gateway, and the raw bytes of its answers."""

import asyncio
from urllib.parse import quote

import httpx2
import pytest

from tests.gateway.native.conftest import Stand
from tests.patience import PATIENCE

INJECTED = "\r\nX-Injected: 1\r\n\r\n<script>"


async def exchange(stand: Stand, request: bytes) -> tuple[int, bytes]:
    """Send bytes and take all that comes back to the connection's end: the status and the answers."""
    url = httpx2.URL(stand.front.base_url)
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(request)
        await writer.drain()
        answer = await reader.read()
        writer.close()
    return int(answer.split(b" ", 2)[1]), answer


def asking(method: str, path: str, *headers: str, body: str = "") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    return "\r\n".join([*lines, "", body]).encode()


@pytest.mark.parametrize(
    "path",
    [
        "/api/runs/{bad}",
        "/api/runs/{bad}/stream",
        "/api/agents/{bad}",
        "/api/agents/{bad}/",
        "/api/runs/{waiting}/results/{bad}",
        "/api/runs?thread={bad}",
        "/{bad}",
        "/api/runs/{bad}/../../health",
    ],
)
async def test_line_ends_in_a_path_do_not_get_into_the_head_of_an_answer(stand: Stand, path: str) -> None:
    filled = path.format(bad=quote(INJECTED, safe=""), waiting=stand.waiting)
    _, answer = await exchange(stand, asking("GET", filled))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"x-injected" not in head.lower()
    assert b"HTTP/1.1" not in body
    assert b"text/html" not in head


BODY = '{"agent": {"model": "scripted/x"}, "input": "go"}'
SENT = ("Content-Type: application/json", f"Content-Length: {len(BODY)}")


@pytest.mark.parametrize("key", ["a\tb", "a\x7fb", "schlüssel", "x" * 256, ""])
async def test_an_idempotency_key_is_printable_or_refused(stand: Stand, key: str) -> None:
    before = await stand.rows()
    status, answer = await exchange(stand, asking("POST", "/api/runs", *SENT, f"Idempotency-Key: {key}", body=BODY))
    assert status in (400, 422)
    assert b"x-injected" not in answer.lower()
    assert await stand.rows() == before


@pytest.mark.parametrize("header", ["Idempotency-Key", "Last-Event-ID", "X-Api-Key", "Authorization"])
@pytest.mark.parametrize("value", ["a\rX-Injected: 1", "a\nX-Injected: 1", "a\0b", "a\r\n X-Injected: 1"])
async def test_line_ends_in_a_header_are_no_more_than_another_header(stand: Stand, header: str, value: str) -> None:
    request = asking("GET", f"/api/runs/{stand.finished}/events", f"{header}: {value}")
    status, answer = await exchange(stand, request)
    assert status in (200, 400, 422)
    head, _, _ = answer.partition(b"\r\n\r\n")
    assert b"x-injected" not in head.lower()


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 4", "Content-Length: 5"),
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding : chunked",),
        ("Content-Length: -1",),
        ("Content-Length: +4",),
        ("Content-Length: 0x4",),
    ],
)
async def test_a_body_whose_length_is_ambiguous_smuggles_nothing(stand: Stand, headers: tuple[str, ...]) -> None:
    before = await stand.rows()
    smuggled = f"0\r\n\r\nPOST /api/runs HTTP/1.1\r\nHost: localhost\r\n{SENT[0]}\r\n{SENT[1]}\r\n\r\n{BODY}"
    status, _ = await exchange(stand, asking("POST", "/api/runs", SENT[0], *headers, body=smuggled))
    assert status == 400
    assert await stand.rows() == before


@pytest.mark.parametrize(
    ("request_line", "host", "status"),
    [
        ("GET http://evil.example/api/runs HTTP/1.1", "localhost", 200),
        ("GET http://localhost/api/runs HTTP/1.1", "evil.example", 403),
        ("GET /api/runs HTTP/1.1", "evil.example\r\nX-Forwarded-Host: localhost", 403),
        ("GET /api/runs HTTP/1.1", "localhost@evil.example", 403),
        ("GET /api/runs HTTP/1.1", "evil.example#localhost", 403),
        ("GET /api/runs HTTP/1.0", "evil.example", 403),
    ],
)
async def test_what_counts_is_the_host_header(stand: Stand, request_line: str, host: str, status: int) -> None:
    raw = f"{request_line}\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    assert (await exchange(stand, raw))[0] == status
