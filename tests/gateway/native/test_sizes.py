"""What is too large or too much is refused at the door, with the field's name, and leaves nothing behind."""

import pytest
from pydantic import JsonValue

from longrun.store.outbox import MOST_CHARS
from longrun.workflows.contract.agents import ToolSpec
from longrun.workflows.inbox import MOST_MESSAGES
from tests.build import START
from tests.gateway.native.conftest import Stand


@pytest.mark.parametrize(
    ("agent", "text", "field"),
    [
        ({"system": "\x01" * 200_000}, "w" * 1_000_000, "agent.system"),
        ({"system": "\x01" * 160_000}, "漢" * 340_000, "input"),
    ],
)
async def test_an_order_that_temporal_would_not_take(
    stand: Stand, agent: dict[str, object], text: str, field: str
) -> None:
    before = await stand.rows()
    body = {"agent": {"model": "scripted/x", **agent}, "input": text}
    answer = await stand.front.http.post("/api/runs", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await stand.rows() == before


async def test_more_messages_than_a_run_keeps(stand: Stand) -> None:
    run_id = (await stand.stores.accept()).run_id
    long = "w" * (MOST_CHARS // 2)
    said = [await stand.front.http.post(f"/api/runs/{run_id}/messages", json={"text": long}) for _ in range(3)]
    assert [answer.status_code for answer in said] == [202, 429, 429]
    assert [error["field"] for error in said[-1].json()["errors"]] == ["text"]
    assert (await stand.front.http.post(f"/api/runs/{run_id}/messages", json={"text": "short"})).status_code == 202
    assert MOST_MESSAGES * 10 < MOST_CHARS  # so that short ones are as many as a run keeps


@pytest.mark.parametrize(
    ("args", "field"), [({"q": 5}, "args.q"), ({"q": "sea", "to": "x"}, "args"), ({}, "args"), ({"q": "sea"}, None)]
)
async def test_an_edit_that_the_tool_would_not_take(stand: Stand, args: dict[str, object], field: str | None) -> None:
    schema: dict[str, JsonValue] = {
        "properties": {"q": {"type": "string"}},
        "required": ["q"],
        "additionalProperties": False,
    }
    search = ToolSpec(name="search", description="Search.", parameters=schema)
    await stand.stores.agents.offer_tools((search,), START)
    body = {"decision": "edit", "args": args, "run_id": stand.waiting}
    answer = await stand.front.http.post("/api/approvals/call-1", json=body)
    if field is None:
        assert answer.status_code == 202
    else:
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]
