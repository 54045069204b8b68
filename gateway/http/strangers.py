"""Requests that a web page of somebody else makes a browser send: refused, by their ``Host`` and their ``Origin``.

A page whose name leads to this machine (DNS rebinding) names itself as the host. A page of another origin can send a
form, and a browser names that origin with it. Programs that are no browsers are what they say.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from longrun.gateway.http.errors import Refuse, RequestError

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
ANY = "*"


class StrangersRefused:
    """ASGI middleware.

    Args:
        app: The application.
        hosts: The names under which it is reached, without a port, besides addresses and ``localhost``; ``*`` for any.
        origins: The origins whose pages may change something, besides its own; ``*`` for any.
        refuse: Renders the refusal.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], origins: Iterable[str], refuse: Refuse) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and (reason := self._reason(scope["method"], Headers(scope=scope))):
            response = await self._refuse(Request(scope, receive), RequestError(403, reason))
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _reason(self, method: str, headers: Headers) -> str:
        """Why a request is refused; empty if it is not."""
        host, origin = headers.get("host", "").lower(), headers.get("origin", "").lower().rstrip("/")
        if not self._is_ours(host):
            return (
                f"the host {host!r} is not one of this server: set LONGRUN_ALLOWED_HOSTS to the names it is reached by"
            )
        if method in _READING or not origin or origin in self._origins or ANY in self._origins:
            return ""
        if urlsplit(origin).netloc == host:
            return ""
        return f"pages of {origin!r} may not change anything here: set LONGRUN_ALLOWED_ORIGINS to let them"

    def _is_ours(self, host: str) -> bool:
        if ANY in self._hosts:
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        # No page has an address as its name unless it comes from there.
        return name in self._hosts or name == "localhost" or name.endswith(".localhost") or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
