"""Keys of the API: who has none is refused, and a key's name is its holder's signature."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from sqlmodel import select

from longrun.client import ApiError, AsyncClient
from longrun.gateway.native.routes import OPERATIONS
from longrun.runtime.settings import Settings
from longrun.store.db.tables import OutboxRow
from longrun.workflows.contract.runs import Decision
from tests.build import Stores
from tests.gateway.native.conftest import wait_for
from tests.patience import PATIENCE
from tests.running import Front, serving

ANN, BOB = "ann-s3cret-0123456789", "bob-s3cret-9876543210"
RUN = {"agent": {"model": "scripted/x"}, "input": "go"}


@asynccontextmanager
async def guarded(folder: Path, keys: str) -> AsyncGenerator[Front]:
    """A gateway with keys, and a client that sends none by itself."""
    settings = Settings.model_validate({"home": folder, "api_key": keys})
    async with serving(settings) as front, httpx2.AsyncClient(base_url=front.base_url, timeout=PATIENCE) as http:
        yield Front(front.base_url, http, settings)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_nothing_but_health_and_readiness_answers_without_a_key(tmp_path: Path) -> None:
    async with guarded(tmp_path, ANN) as front:
        for operation in OPERATIONS:
            path = operation.path.format(agent_id="a", run_id="r", call_id="c")
            answer = await front.http.request(operation.method, path, json=RUN)
            assert (answer.status_code == 401) is not operation.public, path
            assert answer.headers.get("www-authenticate") == (None if operation.public else "Bearer")
        assert {each.path for each in OPERATIONS if each.public} == {"/api/health", "/api/ready"}
        for method, path in (
            ("GET", "/nowhere"),
            ("POST", "/api/health"),
            ("GET", "/api/health/"),
            ("PUT", "/api/runs"),
        ):
            answer = await front.http.request(method, path)
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        bearer("wrong"),
        bearer(ANN[:-1]),
        bearer(ANN + "x"),
        bearer(ANN.upper()),
        bearer(f"ann:{ANN}"),
        bearer(f"{ANN},{BOB}"),
        {"Authorization": ANN},
        {"Authorization": f"Basic {ANN}"},
        {"X-Api-Key": "wrong"},
        {"X-Api-Key": ""},
        {"Cookie": f"key={ANN}"},
    ],
)
async def test_every_wrong_key_gets_the_same_answer(tmp_path: Path, headers: dict[str, str]) -> None:
    async with guarded(tmp_path, f"ann:{ANN},bob:{BOB}") as front:
        refused = await front.http.get("/api/runs", headers=headers)
        without = await front.http.get(f"/api/runs?api_key={ANN}")
    assert refused.status_code == without.status_code == 401
    assert refused.content == without.content
    unsteady = {"date"}
    assert {k: v for k, v in refused.headers.items() if k not in unsteady} == {
        k: v for k, v in without.headers.items() if k not in unsteady
    }
    assert ANN not in refused.text


@pytest.mark.parametrize("keys", [ANN, f" ann:{ANN} , bob:{BOB},"])
@pytest.mark.parametrize(
    "headers",
    [
        bearer(ANN),
        {"Authorization": f"bearer  {ANN}"},
        {"X-Api-Key": ANN},
        {"X-Api-Key": "another server's", **bearer(ANN)},
        {"X-Api-Key": ANN, "Authorization": "Basic x"},
    ],
)
async def test_a_right_key_is_served(tmp_path: Path, keys: str, headers: dict[str, str]) -> None:
    async with guarded(tmp_path, keys) as front:
        assert (await front.http.get("/api/runs", headers=headers)).status_code == 200


async def sent(front: Front, key: str, body: dict[str, str]) -> list[str]:
    """Who is said to have done what a key does: a decision, a message, a cancellation."""
    stores = Stores.over(front.settings.database)
    try:
        run_id = await wait_for(stores, "call-1")
        for path in ("/api/approvals/call-1", f"/api/runs/{run_id}/messages", f"/api/runs/{run_id}/cancel"):
            given = {"decision": "deny"} if "approvals" in path else {"text": "x"} if "messages" in path else {}
            answer = await front.http.post(path, json={**given, **body}, headers=bearer(key))
            assert answer.status_code == 202, answer.text
        async with stores.database.session() as session:
            return [json.loads(row.body)["by"] for row in await session.exec(select(OutboxRow))]
    finally:
        await stores.database.aclose()


@pytest.mark.parametrize("body", [{}, {"by": "ann"}, {"by": "somebody else"}])
async def test_the_name_of_a_key_is_its_holders_signature(tmp_path: Path, body: dict[str, str]) -> None:
    async with guarded(tmp_path, f"ann:{ANN},bob:{BOB}") as front:
        assert await sent(front, BOB, body) == ["bob"] * 3


@pytest.mark.parametrize(("body", "by"), [({}, "api"), ({"by": "carol"}, "carol")])
async def test_who_has_a_key_without_a_name_says_it(tmp_path: Path, body: dict[str, str], by: str) -> None:
    async with guarded(tmp_path, ANN) as front:
        assert await sent(front, ANN, body) == [by] * 3


@pytest.mark.parametrize("given", [ANN, f"ann:{ANN}", f"ann:{ANN},bob:{BOB}"])
async def test_a_client_sends_the_key_of_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    async with guarded(tmp_path, f"bob:{BOB},ann:{ANN}") as front:
        monkeypatch.setenv("LONGRUN_API_KEY", given)
        async with AsyncClient(front.base_url) as client:
            assert (await client.list_runs()).runs == ()
        async with AsyncClient(front.base_url, api_key=BOB) as client:
            assert (await client.list_runs()).runs == ()
            decision = Decision(call_id="nothing", decision="deny")
            with pytest.raises(ApiError, match="nothing"):
                await client.decide(decision)
        async with AsyncClient(front.base_url, api_key="") as client:
            assert (await client.get_readiness()).status == "not_ready"
            with pytest.raises(ApiError, match="a key is needed") as refused:
                await client.list_runs()
            assert refused.value.status == 401


async def test_a_key_is_not_in_any_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level("DEBUG"):
        async with guarded(tmp_path, f"ann:{ANN}") as front:
            for headers in (bearer(ANN), bearer(BOB)):
                await front.http.get("/api/runs", headers=headers)
                await front.http.get("/api/runs/01a1fe94-cea7-71bc-b627-1da15992fc85", headers=headers)
    assert front.settings.own_key == ANN
    written = "".join((caplog.text, *capfd.readouterr(), repr(front.settings), str(front.settings.keys)))
    assert ANN not in written
    assert BOB not in written
