"""How a client reaches its server: the options of both kinds of HTTP client, and failures on the way as ours."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TypedDict

import httpx2
from pydantic import ValidationError

from longrun.client.errors import ClientError, InterruptionError
from longrun.runtime.keys import first_key
from longrun.runtime.settings import Settings

_CONNECT_TIMEOUT = 10.0
_READ_TIMEOUT = 45.0
"""Seconds without a byte after which a connection counts as lost: a stream's keep-alives come every 15."""
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class HttpOptions(TypedDict):
    """What ``httpx2.Client`` and ``httpx2.AsyncClient`` are made with."""

    base_url: httpx2.URL
    headers: Mapping[str, str]
    timeout: httpx2.Timeout
    limits: httpx2.Limits
    trust_env: bool


def http_options(url: str | None, api_key: str | None, headers: Mapping[str, str] | None) -> HttpOptions:
    """The options for the server at ``url``; what is not given is in the settings.

    Raises:
        ClientError: That is no address of a server, or no key.
    """
    url = url or _settings().client_url
    try:
        base_url = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ClientError(f"{url} is no address of a server: {error}") from error
    if base_url.scheme not in ("http", "https") or not base_url.host:
        raise ClientError(f"{url} is no address of a server: it has to begin with http:// or https://")
    return HttpOptions(
        base_url=base_url,
        headers={**_with_key(api_key), **(headers or {})},
        timeout=httpx2.Timeout(_READ_TIMEOUT, connect=_CONNECT_TIMEOUT),
        # A connection for each stream that is read at once: under a limit the next request would wait for one's end.
        limits=httpx2.Limits(max_connections=None),
        # A proxy does not know the way to this machine's own loopback address.
        trust_env=base_url.host not in _LOOPBACK,
    )


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(f"LONGRUN_{each['loc'][0]}".upper() + f" {each['msg']}" for each in error.errors())
        raise ClientError(f"the settings of longrun cannot be used: {wrong}") from error


def _with_key(api_key: str | None) -> dict[str, str]:
    try:
        key = _settings().own_key if api_key is None else first_key(api_key)
    except ValueError as error:
        raise ClientError(f"the key of the API {error}") from error
    return {"Authorization": f"Bearer {key}"} if key else {}


@contextmanager
def transport_errors(url: httpx2.URL) -> Generator[None]:
    """Raise what fails between client and server as an ``InterruptionError``."""
    try:
        yield
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        hint = "`longrun dev` starts a server here, LONGRUN_URL (or --url, or `url=`) names another"
        raise InterruptionError(f"nobody answers at {url}; {hint}", refused=True) from error
    except httpx2.TransportError as error:
        raise InterruptionError(f"the connection to {url} broke off ({type(error).__name__})") from error
