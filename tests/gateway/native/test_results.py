"""Results that are too large for a message, and what of them can be had."""

import pytest

from longrun.store.attempts import Taker
from longrun.workflows.contract.requests import Answer, ModelCall
from longrun.workflows.contract.runs import PendingApproval
from tests.build import START, Stores, calls, pause, tool_call
from tests.gateway.native.conftest import Stand

WHOLE = "é line\n" * 1000


async def completed(stores: Stores, call_id: str, content: str, whole: str | None = None) -> str:
    """A run whose one call has this result."""
    run_id = (await stores.accept()).run_id
    message = calls(call_id)
    await stores.ask(ModelCall(run_id=run_id, step=1), message)
    call = tool_call(run_id, 1, message.calls[0])
    attempt = await stores.calls.begin(call, None, Taker("worker", START))
    answer = Answer(call_id=call_id, name=call.name, status="ok", content=content)
    await stores.calls.complete(call, answer, whole, attempt.number, START)
    return run_id


@pytest.mark.parametrize(("content", "whole"), [("é line\n[cut]", WHOLE), (WHOLE, None)])
async def test_a_result_can_be_had_whole(stand: Stand, content: str, whole: str | None) -> None:
    run_id = await completed(stand.stores, "call|1~2", content, whole)
    response = await stand.front.http.get(f"/api/runs/{run_id}/results/call%7C1~2")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text == WHOLE


async def test_a_call_without_a_result_is_not_found(stand: Stand) -> None:
    for call_id in ("call-1", "nobody's"):
        response = await stand.front.http.get(f"/api/runs/{stand.waiting}/results/{call_id}")
        assert response.status_code == 404
        assert [error["field"] for error in response.json()["errors"]] == ["call_id"]


async def test_of_a_result_that_the_store_has_lost_only_the_beginning_is_left(stand: Stand) -> None:
    run_id = await completed(stand.stores, "c1", "the beginning", "the beginning and the end")
    await stand.stores.database.write(lambda tx: tx.exec_driver_sql("DELETE FROM blobs"))
    response = await stand.front.http.get(f"/api/runs/{run_id}/results/c1")
    assert response.status_code == 410
    events = (await stand.front.http.get(f"/api/runs/{run_id}/events?view=raw")).json()["events"]
    assert events[-1]["content"] == "the beginning"
    assert events[-1]["whole"]


async def test_a_question_about_an_interrupted_call_names_the_call_and_is_decided_under_its_own_id(
    stand: Stand,
) -> None:
    run_id = (await stand.stores.accept()).run_id
    await stand.stores.runs.dispatched(run_id)
    message = calls("c7")
    await stand.stores.ask(ModelCall(run_id=run_id, step=1), message)
    question = PendingApproval(call_id="c7~2", name="pay", arguments="{}", step=1, reason="died", interrupted="c7")
    await stand.stores.approvals.pause(pause(run_id, 1, message).model_copy(update={"calls": (question,)}), START)
    (shown,) = (await stand.front.http.get(f"/api/approvals?run_id={run_id}")).json()["approvals"]
    assert (shown["call_id"], shown["interrupted"], shown["reason"]) == ("c7~2", "c7", "died")
    (pending,) = (await stand.front.run(run_id))["pending_approvals"]
    assert pending == question.model_dump()
    assert (await stand.front.http.post("/api/approvals/c7", json={"decision": "approve"})).status_code == 404
    response = await stand.front.http.post("/api/approvals/c7~2", json={"decision": "approve"})
    assert (response.status_code, response.json()["run_id"]) == (202, run_id)
