"""Reading the web, and only the web: what answers on this machine or its network is none of a model's business."""

import asyncio
import ipaddress
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import httpx2
from typing_extensions import override

from longrun.activities.toolbox.definition import Tool, tool
from longrun.activities.toolbox.tool import ToolFailure
from longrun.activities.toolbox.workspace import is_binary

MAX_BYTES = 1_000_000
MAX_REDIRECTS = 5
_SHOWN_ERROR_CHARS = 2_000
_TIMEOUT = httpx2.Timeout(20.0, connect=10.0)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_HEADERS = {"accept-encoding": "gzip", "user-agent": "longrun"}  # the one coding that is decoded here, with a bound

Resolve = Callable[[str, int], Awaitable[list[str]]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(text: str) -> bool:
    """Whether an address belongs to the public internet, also when it is an IPv4 address in an IPv6 one."""
    address = ipaddress.ip_address(text)
    return all(
        each.is_global and not (each.is_multicast or each.is_reserved)
        for each in (address, *_embedded(address))
        if each not in _NAT64
    ) and not (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)


def _embedded(address: Address) -> list[ipaddress.IPv4Address]:
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return [each for each in found if each is not None]


class CheckedTransport(httpx2.AsyncBaseTransport):
    """Connects to addresses that it has resolved and checked itself.

    The name is not looked up a second time, so that it cannot answer differently then; the server still sees the name
    in the Host header and in TLS.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport, resolve: Resolve, *, allow_private: bool) -> None:
        self._inner = inner
        self._resolve = resolve
        self._allow_private = allow_private

    @override
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        if url.scheme not in ("http", "https") or not url.host:
            raise ToolFailure(f"{url} is not an http or https address")
        addresses = await self._checked(
            url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)
        )
        request.extensions = {**request.extensions, "sni_hostname": url.raw_host.decode("ascii")}
        for address in addresses[:-1]:
            request.url = url.copy_with(host=address)
            try:
                return await self._inner.handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        request.url = url.copy_with(host=addresses[-1])
        return await self._inner.handle_async_request(request)

    async def _checked(self, host: str, port: int) -> list[str]:
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as exc:
            raise ToolFailure(f"the host {host} cannot be found: {exc}") from exc
        for address in addresses:
            if not self._allow_private and not is_public(address):
                raise ToolFailure(f"the host {host} is refused: its address {address} is not public")
        if not addresses:
            raise ToolFailure(f"the host {host} has no address")
        return addresses

    @override
    async def aclose(self) -> None:
        await self._inner.aclose()


class PublicWeb:
    """Fetches pages.

    Args:
        allow_private: Whether addresses that are not public may be reached.
        resolve: Looks up the addresses of a host.
        tls: What is trusted; by default what the machine trusts.
    """

    def __init__(
        self, *, allow_private: bool = False, resolve: Resolve = resolve, tls: ssl.SSLContext | None = None
    ) -> None:
        self._allow_private = allow_private
        self._resolve = resolve
        self._tls = tls

    async def get(self, url: str) -> str:
        """The text at an address.

        Raises:
            ToolFailure: It is refused, cannot be reached, or does not answer with text and success.
        """
        try:
            async with self._client() as client:
                return await self._follow(client, httpx2.URL(url))
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError) as exc:
            raise ToolFailure(f"{url} cannot be read: {type(exc).__name__}: {exc}") from exc

    def _client(self) -> httpx2.AsyncClient:
        self._tls = self._tls or httpx2.create_ssl_context()
        inner = httpx2.AsyncHTTPTransport(verify=self._tls, limits=httpx2.Limits(max_keepalive_connections=0))
        transport = CheckedTransport(inner, self._resolve, allow_private=self._allow_private)
        return httpx2.AsyncClient(transport=transport, timeout=_TIMEOUT, headers=_HEADERS, trust_env=False)

    async def _follow(self, client: httpx2.AsyncClient, url: httpx2.URL) -> str:
        for _ in range(MAX_REDIRECTS + 1):
            async with client.stream("GET", url) as response:
                if not response.has_redirect_location:
                    return await _text(response, url)
                url = url.join(response.headers["location"])
        raise ToolFailure(f"more than {MAX_REDIRECTS} redirects; the last one leads to {url}")


async def _text(response: httpx2.Response, url: httpx2.URL) -> str:
    data, whole = await _body(response)
    if response.is_success and is_binary(data):
        raise ToolFailure(f"{url} is not text but {response.headers.get('content-type', 'of unknown type')}")
    try:
        text = data.decode(response.charset_encoding or "utf-8", "replace")
    except LookupError:
        text = data.decode("utf-8", "replace")
    if not response.is_success:
        raise ToolFailure(
            f"{url} answered {response.status_code} {response.reason_phrase}\n{text[:_SHOWN_ERROR_CHARS]}".rstrip()
        )
    return text if whole else f"{text}\n... [cut: only the first {MAX_BYTES} bytes were read]"


async def _body(response: httpx2.Response) -> tuple[bytes, bool]:
    """The first ``MAX_BYTES`` of a body, and whether that is all: bounded before and after it is unpacked."""
    raw = bytearray()
    async with aclosing(response.aiter_raw()) as chunks:
        async for chunk in chunks:
            raw += chunk
            if len(raw) > MAX_BYTES:
                break
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    data = bytes(raw) if coding == "identity" else _unpacked(bytes(raw), coding)
    return data[:MAX_BYTES], max(len(raw), len(data)) <= MAX_BYTES


def _unpacked(raw: bytes, coding: str) -> bytes:
    if coding not in ("gzip", "x-gzip"):
        raise ToolFailure(f"the answer is packed as {coding!r}, which was not asked for")
    try:
        return zlib.decompressobj(wbits=31).decompress(raw, MAX_BYTES + 1)
    except zlib.error as exc:
        raise ToolFailure(f"the answer is not valid gzip: {exc}") from exc


def http_get_tool(web: PublicWeb) -> Tool:
    """The tool ``http_get`` over a web that it may read."""

    @tool()
    async def http_get(url: str) -> str:
        """Get a web page or another text by HTTP. Only public addresses can be reached unless this server allows more.

        Args:
            url: The address, beginning with http:// or https://.
        """
        return await web.get(url)

    return http_get
