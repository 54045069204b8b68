"""What a page of somebody else makes a browser send is refused, and changes nothing."""

import httpx2
import pytest

from longrun.gateway.app import create_app
from longrun.runtime.settings import Settings
from tests.gateway.native.conftest import Stand

START = {"agent": {"model": "scripted/hello"}, "input": "hi"}


async def send(stand: Stand, method: str, path: str, **headers: str) -> httpx2.Response:
    """A request with these headers."""
    port = httpx2.URL(stand.front.base_url).port
    sent = {name: value.replace("PORT", str(port)) for name, value in headers.items()}
    return await stand.front.http.request(method, path, json=START if method == "POST" else None, headers=sent)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/runs"),
        ("POST", "/api/runs"),
        ("GET", "/api/health"),
        ("GET", "/openapi.json"),
        ("GET", "/nowhere"),
    ],
)
@pytest.mark.parametrize("host", ["evil.example:PORT", "127.0.0.1.evil.example", "localhost.evil.example", "[::1", ""])
async def test_a_host_that_is_not_ours_is_refused(stand: Stand, method: str, path: str, host: str) -> None:
    before = await stand.rows()
    refused = await send(stand, method, path, host=host, origin=f"http://{host}")
    assert refused.status_code == 403
    assert refused.json()["detail"].endswith("set LONGRUN_ALLOWED_HOSTS to the names it is reached by")
    assert await stand.rows() == before


@pytest.mark.parametrize(
    "host", ["localhost:PORT", "LOCALHOST", "agent.localhost:PORT", "127.0.0.1:PORT", "[::1]:PORT", "10.1.2.3"]
)
async def test_our_names_and_addresses_are_served(stand: Stand, host: str) -> None:
    assert (await send(stand, "GET", "/api/runs", host=host)).status_code == 200
    assert (await send(stand, "POST", "/api/runs", host=host, origin=f"http://{host}")).status_code == 201


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:1", "null", "http://evil.example:PORT"])
async def test_a_page_of_another_origin_changes_nothing(stand: Stand, origin: str) -> None:
    before = await stand.rows()
    for path in ("/api/runs", f"/api/runs/{stand.waiting}/cancel", "/api/approvals/call-1"):
        refused = await send(stand, "POST", path, host="127.0.0.1:PORT", origin=origin)
        assert refused.status_code == 403
        assert "may not change anything here" in refused.json()["detail"]
    assert await stand.rows() == before
    assert (await send(stand, "GET", "/api/runs", host="127.0.0.1:PORT", origin=origin)).status_code == 200


@pytest.mark.parametrize(
    ("settings", "host", "origin", "served"),
    [
        ({"allowed_hosts": "agents.example, other"}, "agents.example:80", "", True),
        ({"allowed_hosts": "agents.example, other"}, "agents.example.evil", "", False),
        ({"allowed_hosts": "*"}, "anything", "", True),
        ({"url": "https://agents.example/x"}, "agents.example", "", True),
        ({"allowed_origins": "https://console.example/"}, "localhost", "https://console.example", True),
        ({"allowed_origins": "https://console.example"}, "localhost", "http://console.example", False),
        ({"allowed_origins": "*"}, "localhost", "http://evil.example", True),
    ],
)
async def test_the_operator_says_which_names_and_origins_are_ours(
    settings: dict[str, str], host: str, origin: str, *, served: bool
) -> None:
    transport = httpx2.ASGITransport(create_app(Settings.model_validate(settings)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        headers = {"host": host, **({"origin": origin} if origin else {})}
        answer = await client.post("/nowhere", headers=headers)
    assert answer.status_code == (404 if served else 403)
