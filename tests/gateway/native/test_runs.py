"""Starting, listing and steering runs while Temporal is unavailable: they are accepted and kept."""

import asyncio
from typing import Any

import pytest

from longrun.runtime.ids import new_id
from longrun.workflows.contract.requests import ModelCall
from tests.build import calls
from tests.gateway.native.conftest import Stand

AGENT = {"model": "scripted/hello"}


async def test_an_accepted_run_says_where_to_find_it(stand: Stand) -> None:
    body = {"agent": AGENT, "input": "hello", "metadata": {"ticket": [1, None]}, "limits": {"max_steps": 3}}
    response = await stand.front.http.post("/api/runs", json=body)
    run = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"/api/runs/{run['id']}"
    assert response.headers["x-run-id"] == run["id"]
    assert (run["status"], run["agent"]["name"], run["metadata"]) == ("queued", "inline", {"ticket": [1, None]})
    assert run["limits"]["max_steps"] == 3
    assert await stand.front.run(run["id"]) == run
    assert (await stand.front.http.get(run["links"]["events"])).json()["events"][0]["type"] == "run.accepted"


async def test_a_run_of_a_kept_agent_is_a_snapshot_of_it(stand: Stand) -> None:
    await stand.front.http.post("/api/agents", json={"name": "changing", "system": "old"})
    run = await stand.front.start("changing")
    await stand.front.http.patch("/api/agents/changing", json={"system": "new"})
    assert (await stand.front.run(run["id"]))["agent"]["system"] == "old"


async def test_an_input_can_be_a_message_of_several_parts(stand: Stand) -> None:
    said = {"role": "user", "parts": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}
    response = await stand.front.http.post("/api/runs", json={"agent": AGENT, "input": said})
    events = (await stand.front.http.get(response.json()["links"]["events"])).json()["events"]
    assert [part["text"] for part in events[0]["input"]["parts"]] == ["one", "two"]


async def test_the_same_key_at_the_same_time_starts_one_run(stand: Stand) -> None:
    key = {"Idempotency-Key": new_id()}
    body = {"agent": AGENT, "input": "hello", "metadata": {"a": 1, "b": 2}}
    turned = {"metadata": {"b": 2, "a": 1}, "input": "hello", "agent": AGENT}
    before = await stand.rows()
    answers = await asyncio.gather(
        *(stand.front.http.post("/api/runs", json=given, headers=key) for given in (body, turned, body))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    after = await stand.rows()
    assert (after["runs"] - before["runs"], after["segments"] - before["segments"]) == (1, 1)


async def test_a_key_with_another_body_is_refused(stand: Stand) -> None:
    key = {"Idempotency-Key": new_id()}
    await stand.front.http.post("/api/runs", json={"agent": AGENT, "input": "one"}, headers=key)
    response = await stand.front.http.post("/api/runs", json={"agent": AGENT, "input": "two"}, headers=key)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == ["Idempotency-Key"]


async def test_a_busy_thread_queues_or_refuses_as_asked(stand: Stand) -> None:
    thread = new_id()
    first = await stand.front.start(AGENT, thread_id=thread)
    second = await stand.front.start(AGENT, thread_id=thread)
    body = {"agent": AGENT, "input": "x", "thread_id": thread, "on_busy": "reject"}
    refused = await stand.front.http.post("/api/runs", json=body)
    assert (first["status"], second["status"]) == ("queued", "queued")
    assert refused.status_code == 409
    assert refused.json()["run_id"] == first["id"]


async def test_runs_are_listed_newest_first_in_pages(stand: Stand) -> None:
    thread = new_id()
    started = [(await stand.front.start(AGENT, thread_id=thread))["id"] for _ in range(5)]
    found: list[str] = []
    path = f"/api/runs?thread={thread}&status=queued&agent=inline&limit=2"
    cursor = ""
    while cursor is not None:
        page = (await stand.front.http.get(f"{path}&before={cursor}" if cursor else path)).json()
        found += [run["id"] for run in page["runs"]]
        cursor = page["next"]
    assert found == started[::-1]


async def test_a_run_that_waits_for_its_thread_is_cancelled_at_once(stand: Stand) -> None:
    thread = new_id()
    await stand.front.start(AGENT, thread_id=thread)
    second = await stand.front.start(AGENT, thread_id=thread)
    response = await stand.front.http.post(f"/api/runs/{second['id']}/cancel", json={"reason": "enough", "by": "me"})
    assert (response.status_code, response.json()["delivery"]) == (200, "delivered")
    run = await stand.front.run(second["id"])
    assert (run["status"], run["stop_reason"]) == ("cancelled", "cancelled")
    *_, last = await stand.front.frames(second["id"])
    assert last[1] == "run.cancelled"
    assert '"reason":"enough","by":"me"' in last[2]


@pytest.mark.parametrize(("path", "body"), [("cancel", None), ("messages", {"text": "more"})])
async def test_what_is_said_to_a_run_is_kept_until_temporal_is_back(
    stand: Stand, path: str, body: dict[str, str] | None
) -> None:
    run = await stand.front.start(AGENT)
    response = await stand.front.http.post(f"/api/runs/{run['id']}/{path}", json=body)
    assert response.status_code == 202
    assert response.json() == {"run_id": run["id"], "delivery": "accepted"}


async def test_to_cancel_what_is_over_changes_nothing(stand: Stand) -> None:
    before = await stand.front.run(stand.finished)
    response = await stand.front.http.post(f"/api/runs/{stand.finished}/cancel")
    assert (response.status_code, response.json()["delivery"]) == (200, "over")
    assert await stand.front.run(stand.finished) == before


async def test_a_finished_run_shows_how_it_ended(stand: Stand) -> None:
    run = await stand.front.run(stand.finished)
    assert (run["status"], run["stop_reason"], run["error"]) == ("completed", "end_turn", None)
    assert run["output"].startswith("abcd")
    assert run["usage"]["output_tokens"] == 5


async def test_a_run_that_goes_on_shows_what_it_has_used_so_far(stand: Stand) -> None:
    run_id = (await stand.front.start(AGENT))["id"]
    for step in (1, 2):
        await stand.stores.ask(ModelCall(run_id=run_id, step=step), calls(f"call-{step}"))
    run = await stand.front.run(run_id)
    assert (run["status"], run["usage"]["input_tokens"], run["usage"]["output_tokens"]) == ("running", 20, 8)
    listed = (await stand.front.http.get("/api/runs", params={"status": "running"})).json()["runs"]
    assert [each["usage"] for each in listed if each["id"] == run_id] == [run["usage"]]


async def test_a_waiting_run_shows_what_it_waits_for(stand: Stand) -> None:
    run = await stand.front.run(stand.waiting)
    (pending,) = run["pending_approvals"]
    assert (run["status"], pending["call_id"], pending["arguments"]) == ("waiting", "call-1", '{"q": "é"}')


async def test_what_waits_is_listed_newest_first_and_other_approvals_by_their_state(stand: Stand) -> None:
    listed = (await stand.front.http.get("/api/approvals")).json()["approvals"]
    assert {each["status"] for each in listed} == {"pending"}
    assert [each["call_id"] for each in listed].count("twin-1") == 2
    times = [each["requested_at"] for each in listed]
    assert times == sorted(times, reverse=True)
    own = (await stand.front.http.get(f"/api/approvals?run_id={stand.waiting}")).json()["approvals"]
    assert [each["call_id"] for each in own] == ["call-1"]
    assert (await stand.front.http.get("/api/approvals?status=denied")).json() == {"approvals": [], "next": None}
    every = (await stand.front.http.get("/api/approvals?status=any&limit=500")).json()["approvals"]
    assert {each["run_id"] for each in listed} <= {each["run_id"] for each in every}


async def test_pages_of_approvals_joined_are_the_list(stand: Stand) -> None:
    whole = (await stand.front.http.get("/api/approvals")).json()
    joined: list[Any] = []
    page = {"next": ""}
    while page["next"] is not None:
        query = {"limit": 1, **({"before": page["next"]} if page["next"] else {})}
        page = (await stand.front.http.get("/api/approvals", params=query)).json()
        joined += page["approvals"]
    assert joined == whole["approvals"]
    assert len(joined) >= 3


async def test_a_decision_before_the_call_is_kept_and_the_second_is_told_of_it(stand: Stand) -> None:
    run = await stand.front.start(AGENT)
    body = {"decision": "deny", "reason": "no", "by": "ann", "run_id": run["id"], "id": "one"}
    kept = await stand.front.http.post("/api/approvals/to-come", json=body)
    repeated = await stand.front.http.post("/api/approvals/to-come", json=body)
    second = await stand.front.http.post("/api/approvals/to-come", json={"decision": "approve", "run_id": run["id"]})
    assert (kept.status_code, repeated.status_code, second.status_code) == (202, 202, 409)
    assert second.json()["decision"]["by"] == "ann"


async def test_a_message_whose_id_was_used_for_another_is_refused(stand: Stand) -> None:
    run = await stand.front.start(AGENT)
    path = f"/api/runs/{run['id']}/messages"
    first = await stand.front.http.post(path, json={"text": "one", "id": "m1"})
    again = await stand.front.http.post(path, json={"text": "one", "id": "m1"})
    other = await stand.front.http.post(path, json={"text": "two", "id": "m1"})
    assert (first.status_code == again.status_code, other.status_code) == (True, 422)
    assert "m1 was used for another message" in other.text


async def test_a_decision_for_a_run_that_is_over_is_refused(stand: Stand) -> None:
    body = {"decision": "approve", "run_id": stand.finished}
    response = await stand.front.http.post("/api/approvals/call-9", json=body)
    assert response.status_code == 409
    assert [error["field"] for error in response.json()["errors"]] == ["run_id"]


async def test_the_gateway_lives_without_temporal_but_is_not_ready(stand: Stand) -> None:
    assert (await stand.front.http.get("/api/health")).json() == {"status": "ok", "down": {}}
    response = await stand.front.http.get("/api/ready")
    assert response.status_code == 503
    assert response.json() == {
        "status": "not_ready",
        "temporal": "unavailable",
        "store": "ok",
        "missing_attributes": [],
        "worker": "unknown",
    }
