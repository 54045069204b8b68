"""The web can be read, and nothing behind it."""

import asyncio
import gzip
import json
import shutil
import ssl
import subprocess
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from typing_extensions import override

from longrun.activities.toolbox.http import (
    MAX_BYTES,
    CheckedTransport,
    PublicWeb,
    http_get_tool,
    is_public,
    resolve,
)
from longrun.activities.toolbox.registry import Toolbox, ToolResult
from longrun.activities.toolbox.tool import ToolContext, ToolFailure

Get = Callable[[str], Awaitable[ToolResult]]


class Site:
    """A server on loopback that answers a path with bytes, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.port = 0

    def page(self, path: str, body: bytes, *headers: str, status: str = "200 OK") -> None:
        head = "\r\n".join([f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers])
        self.answers[path] = head.encode() + b"\r\n\r\n" + body

    def redirect(self, path: str, location: str) -> None:
        self.page(path, b"", f"location: {location}", status="302 Found")

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(request)
            writer.write(self.answers.get(request.split()[1], b"nothing like HTTP\r\n\r\n"))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the reader had enough
        finally:
            writer.close()


@asynccontextmanager
async def served(tls: ssl.SSLContext | None = None) -> AsyncGenerator[Site]:
    site = Site()
    server = await asyncio.start_server(site.answer, "127.0.0.1", 0, ssl=tls)
    site.port = server.sockets[0].getsockname()[1]
    async with server:
        yield site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with served() as site:
        yield site


def getter(web: PublicWeb, context: ToolContext) -> Get:
    box = Toolbox([http_get_tool(web)])

    async def get(url: str) -> ToolResult:
        return await box.run("http_get", json.dumps({"url": url}), context)

    return get


@pytest.fixture
def get(context: ToolContext) -> Get:
    """For a server where private addresses are allowed."""
    return getter(PublicWeb(allow_private=True), context)


def at(*addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    """A name service that knows one answer."""

    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


async def test_a_page_is_read_as_text(site: Site, get: Get) -> None:
    site.page("/", "Grüße".encode(), "content-type: text/plain; charset=utf-8")
    site.page("/old", "Grüße".encode("latin-1"), "content-type: text/plain; charset=latin-1")
    site.page("/odd", "Grüße".encode(), "content-type: text/plain; charset=klingon")
    for path in ("/", "/old", "/odd"):
        assert await get(f"http://127.0.0.1:{site.port}{path}") == ToolResult("ok", "Grüße")


async def test_the_server_sees_the_name_but_the_checked_address_is_connected_to(
    site: Site, context: ToolContext
) -> None:
    site.page("/", b"hello")
    get = getter(PublicWeb(allow_private=True, resolve=at("127.0.0.1")), context)
    assert await get(f"http://site.invalid:{site.port}/") == ToolResult("ok", "hello")
    assert f"\r\nhost: site.invalid:{site.port}\r\n" in site.requests[0].lower()


async def test_the_next_address_is_tried_when_one_refuses(site: Site, context: ToolContext) -> None:
    site.page("/", b"hello")
    get = getter(PublicWeb(allow_private=True, resolve=at("127.0.0.2", "127.0.0.1")), context)
    assert (await get(f"http://site.invalid:{site.port}/")).content == "hello"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
async def test_tls_is_checked_against_the_name(tmp_path: Path, context: ToolContext) -> None:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key -out cert -days 2"
    names = ["-subj", "/CN=site.invalid", "-addext", "subjectAltName=DNS:site.invalid"]
    subprocess.run([*command.split(), *names], cwd=tmp_path, check=True, capture_output=True)  # noqa: ASYNC221, S603 - a fixed command
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    trust = ssl.create_default_context(cafile=tmp_path / "cert")
    async with served(server) as site:
        site.page("/", b"secret")
        get = getter(PublicWeb(allow_private=True, resolve=at("127.0.0.1"), tls=trust), context)
        assert await get(f"https://site.invalid:{site.port}/") == ToolResult("ok", "secret")
        result = await get(f"https://other.invalid:{site.port}/")
    assert result.status == "error"
    assert "certificate" in result.content.lower()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://127.1:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f000001:{port}/",
        "http://0x7f.1:{port}/",
        "http://0177.0.0.1:{port}/",
        "http://①②⑦.⓪.⓪.①:{port}/",
        "http://example.org@127.0.0.1:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://[::ffff:7f00:1]:{port}/",
        "http://[::127.0.0.1]:{port}/",
        "http://[::ffff:0:127.0.0.1]:{port}/",
        "http://[64:ff9b::7f00:1]:{port}/",
        "http://[64:ff9b:1::7f00:1]:{port}/",
        "http://[2002:7f00:1::]:{port}/",
        "http://[fd00::1]:{port}/",
        "http://0.0.0.0:{port}/",
        "http://169.254.169.254/latest/meta-data",
    ],
)
async def test_an_address_that_is_not_public_is_refused(site: Site, context: ToolContext, url: str) -> None:
    site.page("/", b"secret")
    result = await getter(PublicWeb(), context)(url.format(port=site.port))
    assert result.status == "error"
    assert "is refused: its address" in result.content or "InvalidURL" in result.content, result.content
    assert not site.requests


async def test_one_address_that_is_not_public_refuses_the_name(site: Site, context: ToolContext) -> None:
    get = getter(PublicWeb(resolve=at("93.184.215.14", "127.0.0.1")), context)
    assert await get(f"http://rebind.invalid:{site.port}/") == ToolResult(
        "error", "the host rebind.invalid is refused: its address 127.0.0.1 is not public"
    )


async def test_a_redirect_is_checked_anew(site: Site, context: ToolContext) -> None:
    """The name's first answer leads to a page; what that redirects to is looked up and judged for itself."""
    requests: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        requests.append(host)
        return ["127.0.0.1"] if host == "site.invalid" else []

    site.redirect("/", f"http://inside.invalid:{site.port}/")
    get = getter(PublicWeb(allow_private=True, resolve=resolve), context)
    assert await get(f"http://site.invalid:{site.port}/") == ToolResult(
        "error", "the host inside.invalid has no address"
    )
    assert requests == ["site.invalid", "inside.invalid"]


class Redirecting(httpx2.AsyncBaseTransport):
    """A public site whose every page leads to another address."""

    def __init__(self, location: str) -> None:
        self.location = location
        self.connections: list[str] = []

    @override
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.connections.append(request.url.host)
        return httpx2.Response(302, headers={"location": self.location}, request=request)


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "//[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://169.254.169.254/latest/meta-data",
        "https://2130706433/",
        "http://inside.invalid/",
        "http://[64:ff9b::a00:1]/",
    ],
)
async def test_a_redirect_from_the_public_web_to_a_private_address_is_refused(location: str) -> None:
    async def resolve_names(host: str, port: int) -> list[str]:
        known = {"site.invalid": ["93.184.215.14"], "inside.invalid": ["10.0.0.1"]}
        return known.get(host) or await resolve(host, port)

    inner = Redirecting(location)
    transport = CheckedTransport(inner, resolve_names, allow_private=False)
    async with httpx2.AsyncClient(transport=transport, follow_redirects=True) as client:
        with pytest.raises(ToolFailure, match="is refused: its address"):
            await client.get("http://site.invalid/")
    assert inner.connections == ["93.184.215.14"]


async def test_a_name_that_answers_differently_the_second_time_is_not_asked_twice(
    site: Site, context: ToolContext
) -> None:
    answers = [["127.0.0.1"], ["127.0.0.2"]]

    async def rebinding(host: str, port: int) -> list[str]:
        return answers.pop(0)

    site.page("/", b"hello")
    get = getter(PublicWeb(allow_private=True, resolve=rebinding), context)
    assert await get(f"http://rebind.invalid:{site.port}/") == ToolResult("ok", "hello")
    assert answers == [["127.0.0.2"]]


async def test_redirects_are_followed_but_not_for_ever(site: Site, get: Get) -> None:
    for number in range(5):
        site.redirect(f"/{number}", f"{number + 1}")
    site.page("/5", b"here")
    site.redirect("/round", "/round")
    assert await get(f"http://127.0.0.1:{site.port}/0") == ToolResult("ok", "here")
    result = await get(f"http://127.0.0.1:{site.port}/round")
    assert result.status == "error"
    assert result.content.startswith("more than 5 redirects")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "file:///etc/passwd", "127.0.0.1/x", "http://", "nonsense"])
async def test_only_http_is_spoken(get: Get, url: str) -> None:
    result = await get(url)
    assert result.status == "error"
    assert "is not an http or https address" in result.content or "UnsupportedProtocol" in result.content


async def test_a_redirect_to_a_file_is_refused(site: Site, get: Get) -> None:
    site.redirect("/", "file:///etc/passwd")
    result = await get(f"http://127.0.0.1:{site.port}/")
    assert result.status == "error"
    assert result.content.endswith("/etc/passwd is not an http or https address")


async def test_a_bad_status_is_an_error_with_what_the_server_said(site: Site, get: Get) -> None:
    site.page("/", b"no such page", status="404 Not Found")
    url = f"http://127.0.0.1:{site.port}/"
    assert await get(url) == ToolResult("error", f"{url} answered 404 Not Found\nno such page")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://127.0.0.1:99999/", "http://a b/", "http://[::1/"])
async def test_what_cannot_be_reached_is_an_error(get: Get, url: str) -> None:
    assert (await get(url)).status == "error"


async def test_an_unknown_name_and_a_broken_answer_are_errors(site: Site, get: Get) -> None:
    assert "cannot be found" in (await get("http://nowhere.invalid/")).content
    assert "RemoteProtocolError" in (await get(f"http://127.0.0.1:{site.port}/broken")).content


async def test_what_is_not_text_is_said_not_shown(site: Site, get: Get) -> None:
    site.page("/", b"\x89PNG\0\0", "content-type: image/png")
    result = await get(f"http://127.0.0.1:{site.port}/")
    assert result.status == "error"
    assert result.content.endswith("/ is not text but image/png")


async def test_a_large_page_is_cut(site: Site) -> None:
    site.page("/", b"x" * (3 * MAX_BYTES))
    text = await PublicWeb(allow_private=True).get(f"http://127.0.0.1:{site.port}/")
    assert text == "x" * MAX_BYTES + f"\n... [cut: only the first {MAX_BYTES} bytes were read]"


async def test_a_packed_page_is_unpacked_with_a_bound(site: Site, get: Get) -> None:
    site.page("/small", gzip.compress(b"hello"), "content-encoding: gzip")
    site.page("/bomb", gzip.compress(b"x" * 50_000_000), "content-encoding: gzip")
    site.page("/bad", b"hello", "content-encoding: gzip")
    site.page("/other", b"hello", "content-encoding: gzip, gzip")
    base = f"http://127.0.0.1:{site.port}"
    assert await get(f"{base}/small") == ToolResult("ok", "hello")
    text = await PublicWeb(allow_private=True).get(f"{base}/bomb")
    assert text.endswith(f"x\n... [cut: only the first {MAX_BYTES} bytes were read]")
    assert "is not valid gzip" in (await get(f"{base}/bad")).content
    assert "is packed as 'gzip, gzip'" in (await get(f"{base}/other")).content


@pytest.mark.parametrize("coding", ["deflate", "br", "zstd", "gzip, br", "compress", "x"])
async def test_a_packing_that_was_not_asked_for_is_not_unpacked(site: Site, get: Get, coding: str) -> None:
    site.page("/", zlib.compress(b"x" * 50_000_000), f"content-encoding: {coding}")
    assert f"is packed as '{coding}', which was not asked for" in (await get(f"http://127.0.0.1:{site.port}/")).content
    assert "\r\naccept-encoding: gzip\r\n" in site.requests[0].lower()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("64:ff9b::5db8:d70e", True),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.1.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1%1", False),
        ("fc00::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False),
        ("2001:0:7f00:1::", False),
        ("::127.0.0.1", False),
        ("::ffff:0:7f00:1", False),
        ("64:ff9b:1::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:a9fe:a9fe::", False),
        ("192.0.0.1", False),
        ("198.18.0.1", False),
        ("240.0.0.1", False),
        ("2001:db8::1", False),
    ],
)
def test_public_addresses_are_told_from_others(address: str, *, public: bool) -> None:
    assert is_public(address) is public


async def test_a_name_is_looked_up_by_the_machine() -> None:
    assert "127.0.0.1" in await resolve("127.0.0.1", 80)
