"""Ids that models' hosts make up: whatever they consist of, their calls can be decided and their results read."""

import json
from urllib.parse import quote

import httpx2
import pytest
from sqlmodel import col, select

from longrun.store.attempts import Taker
from longrun.store.db.tables import OutboxRow
from longrun.workflows.contract.requests import Answer, ModelCall
from tests.build import START, calls, tool_call
from tests.gateway.native.conftest import Stand, wait_for

LONG = "call_" + "x" * 60 + "__thought__" + "AY89+/=" * 120
IDS = {
    "slash": "call/1",
    "slashes": "/a//b/",
    "long": LONG,
    "reserved": "a?b#c%2Fd e&f=g;h",
    "encoded": "%2F%252e",
    "dots": "..",
    "dot": ".",
    "climbing": "../../api/health",
    "chinese": "調用一" * 300,
    "newline": "call\n1\t\r\nX-Injected: 1",
    "question": "call_1~2",
    "quotes": "\"a'b\\c<d>",
}
ODD = pytest.mark.parametrize("call_id", [pytest.param(call_id, id=name) for name, call_id in IDS.items()])


def encoded(call_id: str) -> str:
    """An id as a segment of a path, dots too, which clients resolve otherwise."""
    return quote(call_id, safe="").replace(".", "%2E")


async def deny(stand: Stand, path: str, **body: str) -> httpx2.Response:
    """Deny a call."""
    return await stand.front.http.post(path, json={"decision": "deny", "by": "ann", **body})


@ODD
async def test_a_call_with_an_odd_id_is_decided_by_path(stand: Stand, call_id: str) -> None:
    run_id = await wait_for(stand.stores, call_id)
    answer = await deny(stand, f"/api/approvals/{encoded(call_id)}", run_id=run_id)
    assert (answer.status_code, answer.json()["run_id"]) == (202, run_id)
    assert "x-injected" not in answer.headers
    assert call_id in await outbox(stand, run_id)


@ODD
async def test_a_call_with_an_odd_id_is_decided_by_body(stand: Stand, call_id: str) -> None:
    run_id = await wait_for(stand.stores, call_id)
    answer = await deny(stand, "/api/approvals", run_id=run_id, call_id=call_id)
    assert (answer.status_code, answer.json()["run_id"]) == (202, run_id)
    assert call_id in await outbox(stand, run_id)


async def outbox(stand: Stand, run_id: str) -> list[str]:
    """The calls of a run for which decisions are kept."""
    async with stand.stores.database.session() as session:
        rows = await session.exec(select(OutboxRow).where(col(OutboxRow.run_id) == run_id))
        return [json.loads(row.body)["call_id"] for row in rows]


@ODD
async def test_the_result_of_a_call_with_an_odd_id_is_read(stand: Stand, call_id: str) -> None:
    run_id = (await stand.stores.accept()).run_id
    message = calls(call_id)
    await stand.stores.ask(ModelCall(run_id=run_id, step=1), message)
    call = tool_call(run_id, 1, message.calls[0])
    attempt = await stand.stores.calls.begin(call, None, Taker("worker", START))
    done = Answer(call_id=call_id, name=call.name, status="ok", content="found")
    await stand.stores.calls.complete(call, done, None, attempt.number, START)
    results = f"/api/runs/{run_id}/results"
    for path in (f"{results}/{encoded(call_id)}", f"{results}?call_id={quote(call_id, safe='')}"):
        answer = await stand.front.http.get(path)
        assert (answer.status_code, answer.text) == (200, "found"), path


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/runs/", 200),
        ("/%61pi/r%75ns", 200),
        ("//api/runs", 404),
        ("/api//runs", 404),
        ("/api/runs//", 404),
        ("/api%2Fruns", 404),
        ("/api/health%2F..%2Fruns", 404),
        ("/api/%2E%2E/api/runs", 404),
        ("/api/runs/%2E%2E/runs", 404),
        ("/api/runs/%2E%2E", 422),
        ("/", 404),
        ("/%", 404),
        ("/%00", 404),
        ("/api/agents/%00", 422),
    ],
)
async def test_a_path_is_what_it_says_and_nothing_else(stand: Stand, path: str, status: int) -> None:
    answer = await stand.front.http.get(path)
    assert answer.status_code == status
    assert "location" not in answer.headers
