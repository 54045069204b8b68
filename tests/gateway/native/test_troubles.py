"""What a caller sees when the trouble is ours: the store is unavailable, or has something that cannot be read."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from longrun.runtime.settings import Settings
from tests.build import Stores, order
from tests.running import Front, serving

AGENT = {"model": "scripted/x"}


@pytest_asyncio.fixture(loop_scope="session")
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with serving(Settings(home=tmp_path)) as front:
        yield front


async def spoil(front: Front, statement: str) -> None:
    """Do something to the store behind the gateway's back."""
    stores = Stores.over(front.settings.database)
    try:
        await stores.database.write(lambda tx: tx.exec_driver_sql(statement))
    finally:
        await stores.database.aclose()


async def test_without_the_store_the_gateway_is_not_ready_and_says_when_to_come_back(front: Front) -> None:
    await spoil(front, "ALTER TABLE runs RENAME TO away")
    ready = await front.http.get("/api/ready")
    assert (ready.status_code, ready.json()["store"]) == (503, "unavailable")
    for refused in (
        await front.http.post("/api/runs", json={"agent": AGENT, "input": "x"}),
        await front.http.get(f"/api/runs/{order().run_id}"),
        await front.http.get("/api/runs"),
    ):
        assert refused.status_code == 503
        assert refused.json()["detail"].startswith("the store does not answer")
        assert int(refused.headers["retry-after"]) > 0


async def test_what_cannot_be_read_is_an_error_of_ours_and_no_word_about_its_inside(front: Front) -> None:
    run = await front.start(AGENT)
    await spoil(front, """UPDATE runs SET "order" = '{"secret": 1}'""")
    response = await front.http.get(f"/api/runs/{run['id']}")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "secret" not in response.text
