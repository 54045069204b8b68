"""What every answer tells browsers, and what pages of allowed origins get."""

from collections.abc import Mapping

import httpx2
import pytest

from longrun.gateway.app import create_app
from longrun.gateway.http.safe_headers import HEADERS
from longrun.runtime.settings import Settings
from tests.gateway.native.conftest import Stand

CONSOLE = "https://console.example"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type, idempotency-key, last-event-id, x-api-key",
}


async def ask(settings: Mapping[str, str], method: str, path: str, **headers: str) -> httpx2.Response:
    """An answer of a gateway with these settings, to a page on this machine's own name."""
    transport = httpx2.ASGITransport(create_app(Settings.model_validate(settings)))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, path, headers=named)


def cors(answer: httpx2.Response) -> list[str]:
    return [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("method", "path", "status", "host"),
    [
        ("GET", "/api/health", 200, "localhost"),
        ("GET", "/openapi.json", 200, "localhost"),
        ("GET", "/api/runs", 200, "localhost"),
        ("GET", "/nowhere", 404, "localhost"),
        ("PUT", "/api/runs", 405, "localhost"),
        ("POST", "/api/runs", 422, "localhost"),
        ("GET", "/api/runs", 403, "evil.example"),
        ("GET", "/api/runs/{finished}/stream", 200, "localhost"),
        ("GET", "/api/runs/{finished}/stream?starting_after=200", 204, "localhost"),
        ("HEAD", "/api/runs/{finished}/stream", 200, "localhost"),
    ],
)
async def test_every_answer_has_the_safe_headers_once_and_is_no_page(
    stand: Stand, method: str, path: str, status: int, host: str
) -> None:
    answer = await stand.front.http.request(method, path.format(finished=stand.finished), headers={"host": host})
    assert answer.status_code == status
    for name, value in HEADERS.items():
        assert answer.headers.get_list(name) == [value]
    assert not answer.headers.get("content-type", "").startswith("text/html")
    assert cors(answer) == []


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost", "null"])
async def test_without_the_setting_there_is_no_cors_at_all(origin: str) -> None:
    assert cors(await ask({}, "GET", "/nowhere", Origin=origin)) == []
    preflight = await ask({}, "OPTIONS", "/api/runs", Origin=origin, **PREFLIGHT)
    assert (preflight.status_code, cors(preflight)) == (405, [])


@pytest.mark.parametrize("setting", [CONSOLE, f"http://other.example, {CONSOLE.upper()}/"])
async def test_a_page_of_an_allowed_origin_may_ask_and_read(setting: str) -> None:
    settings = {"allowed_origins": setting, "api_key": "k"}
    preflight = await ask(settings, "OPTIONS", "/api/runs", Origin=CONSOLE, **PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == CONSOLE
    assert "access-control-allow-credentials" not in preflight.headers
    answer = await ask(settings, "GET", "/nowhere", Origin=CONSOLE, Authorization="Bearer k")
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (404, CONSOLE)
    exposed = answer.headers["access-control-expose-headers"]
    assert {"Location", "Content-Location", "X-Run-Id", "Retry-After"} <= set(exposed.split(", "))
    assert "Origin" in answer.headers["vary"]
    refused = await ask(settings, "POST", "/api/runs", Origin=CONSOLE)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, CONSOLE)


@pytest.mark.parametrize("origin", ["http://console.example", "https://console.example.evil", "null"])
async def test_a_page_of_another_origin_may_not(origin: str) -> None:
    settings = {"allowed_origins": CONSOLE}
    preflight = await ask(settings, "OPTIONS", "/api/runs", Origin=origin, **PREFLIGHT)
    assert preflight.status_code == 400
    assert "access-control-allow-origin" not in preflight.headers
    answer = await ask(settings, "GET", "/nowhere", Origin=origin)
    assert "access-control-allow-origin" not in answer.headers
    assert (await ask(settings, "POST", "/api/runs", Origin=origin)).status_code == 403


async def test_a_preflight_for_a_host_that_is_not_ours_is_refused() -> None:
    settings = {"allowed_origins": "*"}
    answer = await ask(settings, "OPTIONS", "/api/runs", Origin="http://a.example", host="evil.example", **PREFLIGHT)
    assert (answer.status_code, cors(answer)) == (403, [])


@pytest.mark.parametrize(
    ("bound", "host", "served"),
    [
        ("0.0.0.0", "192.0.2.1:8283", True),  # noqa: S104 - nothing is bound here
        ("0.0.0.0", "agents.example", False),  # noqa: S104 - nothing is bound here
        ("::", "[2001:db8::1]:8283", True),
        ("::", "agents.example", False),
        ("agents.example", "agents.example", True),
    ],
)
async def test_a_gateway_bound_everywhere_knows_no_more_names(bound: str, host: str, *, served: bool) -> None:
    answer = await ask({"host": bound, "insecure": "1"}, "GET", "/nowhere", host=host)
    assert answer.status_code == (404 if served else 403)
