"""Requests without a key: refused, where there are keys, before anything of them is read."""

import hmac
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from longrun.gateway.http.caller import Caller
from longrun.gateway.http.errors import Refuse, RequestError

CHALLENGE = {"WWW-Authenticate": "Bearer"}
_SCHEME = "bearer "


class KeysRequired:
    """ASGI middleware: passes on what brings a key, and says whose it is.

    Args:
        app: The application.
        keys: The keys, and whose they are.
        public: The paths that may be read without one.
        refuse: Renders the refusal, which is the same for no key and for a wrong one.
    """

    def __init__(self, app: ASGIApp, keys: Mapping[str, Caller], public: Iterable[str], refuse: Refuse) -> None:
        self._app = app
        self._keys = [(_digest(key), caller) for key, caller in keys.items()]
        self._public = frozenset(public)
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller = self._caller(Headers(scope=scope))
        if caller is None and not self._is_public(scope):
            error = RequestError(401, "a key is needed: Authorization: Bearer KEY", headers=CHALLENGE)
            response = await self._refuse(Request(scope, receive), error)
            await response(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    def _is_public(self, scope: Scope) -> bool:
        return scope["method"] in ("GET", "HEAD") and scope["path"] in self._public

    def _caller(self, headers: Headers) -> Caller | None:
        found: Caller | None = None
        for given in map(_digest, _given(headers)):
            # Every key is compared, and digests only: the time says neither which one nor how much of it was right.
            for digest, caller in self._keys:
                if hmac.compare_digest(digest, given):
                    found = caller
        return found


def _given(headers: Headers) -> Iterator[str]:
    """The keys that a request brings: a client may have one of its own habit beside ours."""
    yield from headers.getlist("x-api-key")
    for value in headers.getlist("authorization"):
        if value[: len(_SCHEME)].lower() == _SCHEME:
            yield value[len(_SCHEME) :].strip()


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogateescape")).digest()
