"""Runs through the front door on a real Temporal server, to their end."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from longrun.activities.providers.provider import ModelRequest
from longrun.runtime.ids import new_id
from tests.build import Stores
from tests.patience import PATIENCE
from tests.provider_fake import Gate, Turn, call, text, turn
from tests.running import Front, running
from tests.tools import TOOLS

pytestmark = pytest.mark.server


class Held:
    """The gates of models that hold their answers back, by the input of their run."""

    def __init__(self) -> None:
        self.gates: dict[str, Gate] = {}
        self._inputs: dict[str, str] = {}

    def says(self, request: ModelRequest) -> Turn:
        """The answer of the model to the input of its run."""
        given = self._inputs.setdefault(request.run_id, request.messages[-1].text)
        if given.startswith("hold"):
            return turn(text("Before. ", self.gates.setdefault(given, Gate()), "After."))
        if given.startswith("count"):
            return turn(text(*(f"{number} " for number in range(190))))
        if given.startswith("pay") and request.step == 1:
            return turn(call(f"{given}-1", "pay", {"amount": 5}), call(f"{given}-2", "pay", {"amount": 6}))
        return turn("Done: " + ", ".join(message.text for message in request.messages if message.role == "user"))


AGENT = {"name": "clerk", "model": "scripted/x", "tools": [{"name": "pay", "approval": "always"}]}


class Deployment:
    """The running system and the model's gates."""

    def __init__(self, front: Front, held: Held) -> None:
        self.front = front
        self.gates = held.gates

    async def start(self, text: str, **more: object) -> str:
        """Start a run of the clerk."""
        return (await self.front.start(AGENT, text, **more))["id"]

    async def held(self, text: str) -> Gate:
        """Wait until the model holds its answer to this input back."""
        async with asyncio.timeout(PATIENCE):
            while text not in self.gates:  # noqa: ASYNC110 - made by the worker
                await asyncio.sleep(0.01)
            await self.gates[text].reached.wait()
        return self.gates[text]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployment(temporal: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    held = Held()
    folder = tmp_path_factory.mktemp("deployment")
    async with running(temporal, folder, says=held.says, tools=TOOLS) as front:
        yield Deployment(front, held)


async def test_a_run_that_is_started_with_stream_streams_to_its_end(deployment: Deployment) -> None:
    body = {"agent": AGENT, "input": "hello"}
    async with deployment.front.http.stream("POST", "/api/runs?stream=true", json=body) as response:
        assert response.status_code == 201
        run_id = response.headers["x-run-id"]
        assert response.headers["location"] == f"/api/runs/{run_id}"
        seen = [(int(sse.id), sse.event) async for sse in httpx2.EventSource(response)]
    assert [seq for seq, _ in seen] == list(range(1, len(seen) + 1))
    assert (seen[0][1], seen[-1][1]) == ("run.accepted", "run.completed")
    run = await deployment.front.run(run_id)
    assert (run["status"], run["output"], run["step"]) == ("completed", "Done: hello", 1)


async def test_a_repeated_start_with_stream_streams_the_same_run(deployment: Deployment) -> None:
    key = {"Idempotency-Key": new_id()}
    body = {"agent": AGENT, "input": "once"}
    first = await deployment.front.http.post("/api/runs?stream=true", json=body, headers=key)
    second = await deployment.front.http.post("/api/runs?stream=true", json=body, headers=key)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.headers["x-run-id"] == second.headers["x-run-id"]
    assert first.content == second.content


async def test_a_live_run_read_from_every_seq_gives_every_reader_the_rest(deployment: Deployment) -> None:
    run_id = await deployment.start("count")
    whole = await deployment.front.frames(run_id, "?view=raw")
    for after in range(0, len(whole), 7):
        assert await deployment.front.frames(run_id, f"?view=raw&starting_after={after}") == whole[after:]
        if after:
            assert await deployment.front.frames(run_id, "?view=raw", Last_Event_ID=str(after)) == whole[after:]
    said = "".join(json.loads(data)["delta"] for _, event, data in whole if event == "text.delta")
    assert said == (await deployment.front.run(run_id))["output"]


async def test_a_client_that_disconnects_never_stops_its_run(deployment: Deployment) -> None:
    body = {"agent": AGENT, "input": "hold the line"}
    async with deployment.front.http.stream("POST", "/api/runs?stream=true", json=body) as response:
        run_id = response.headers["x-run-id"]
        assert await anext(response.aiter_bytes())
    (await deployment.held("hold the line")).open()
    run = await deployment.front.ended(run_id)
    assert (run["status"], run["output"]) == ("completed", "Before. After.")


async def test_of_two_decisions_at_once_one_counts_and_the_other_is_told_which(deployment: Deployment) -> None:
    run_id = await deployment.start("pay both")
    await deployment.front.waiting(run_id)
    path = "/api/approvals/pay both-1"
    answers = await asyncio.gather(
        deployment.front.http.post(path, json={"decision": "approve", "by": "ann"}),
        deployment.front.http.post(path, json={"decision": "deny", "by": "bob"}),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    winner = next(answer.json() for answer in answers if answer.status_code == 200)
    loser = next(answer.json() for answer in answers if answer.status_code == 409)
    assert loser["decision"]["id"] == winner["decision"]["id"]
    edited = {"decision": "edit", "args": {"amount": 7}, "run_id": run_id}
    assert (await deployment.front.http.post("/api/approvals/pay both-2", json=edited)).json()["status"] == "edited"
    run = await deployment.front.ended(run_id)
    assert (run["status"], run["turn"], run["pending_approvals"]) == ("completed", 2, [])
    again = await deployment.front.http.post(path, json={"decision": "approve"})
    assert (again.status_code, again.json()["decision"]["by"]) == (409, winner["decision"]["by"])
    events = [json.loads(data) for _, _, data in await deployment.front.frames(run_id)]
    results = [event["content"] for event in events if event["type"] == "tool.completed"]
    assert "paid 7" in results


async def test_a_decision_that_was_given_early_counts_when_the_call_comes(deployment: Deployment) -> None:
    run_id = await deployment.start("hold on", thread_id="early")
    queued = await deployment.start("pay early", thread_id="early")
    for number in (1, 2):
        body = {"decision": "answer", "answer": f"no need {number}", "run_id": queued}
        kept = await deployment.front.http.post(f"/api/approvals/pay early-{number}", json=body)
        assert kept.status_code == 202
    (await deployment.held("hold on")).open()
    await deployment.front.ended(run_id)
    events = [json.loads(data) for _, _, data in await deployment.front.frames(queued)]
    assert [event["content"] for event in events if event["type"] == "tool.completed"] == ["no need 1", "no need 2"]


async def test_a_cancel_ends_a_run_in_the_middle_of_a_sentence(deployment: Deployment) -> None:
    run_id = await deployment.start("hold still")
    await deployment.held("hold still")
    reader = asyncio.create_task(deployment.front.frames(run_id))
    response = await deployment.front.http.post(f"/api/runs/{run_id}/cancel", json={"reason": "enough", "by": "ann"})
    assert (response.status_code, response.json()["delivery"]) == (200, "delivered")
    *_, last = await reader
    assert last[1] == "run.cancelled"
    run = await deployment.front.run(run_id)
    assert (run["status"], run["stop_reason"]) == ("cancelled", "cancelled")


async def test_what_is_said_to_a_waiting_run_is_seen_by_the_model(deployment: Deployment) -> None:
    run_id = await deployment.start("pay with words")
    await deployment.front.waiting(run_id)
    said = await deployment.front.http.post(f"/api/runs/{run_id}/messages", json={"text": "Be quick.", "id": "a"})
    assert said.json() == {"run_id": run_id, "delivery": "delivered"}
    for number in (1, 2):
        body = {"decision": "approve"}
        assert (
            await deployment.front.http.post(f"/api/approvals/pay with words-{number}", json=body)
        ).status_code == 200
    assert (await deployment.front.ended(run_id))["output"].endswith("Be quick.")


async def test_an_unknown_run_is_not_found_and_the_gateway_is_ready(deployment: Deployment) -> None:
    ready = await deployment.front.http.get("/api/ready")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ready", "temporal": "ok", "store": "ok", "missing_attributes": [], "worker": "ok"},
    )
    response = await deployment.front.http.get(f"/api/runs/{new_id()}")
    assert response.status_code == 404
    assert [error["field"] for error in response.json()["errors"]] == ["run_id"]


async def test_a_finished_log_that_is_lost_is_read_from_history(deployment: Deployment) -> None:
    run_id = await deployment.start("tell me")
    before = await deployment.front.frames(run_id)
    await _forget(deployment, run_id)
    assert await deployment.front.frames(run_id) == before


async def test_what_neither_store_nor_history_has_is_gone(deployment: Deployment) -> None:
    stores = Stores.over(deployment.front.settings.database)
    try:
        run_id = (await stores.accept()).run_id
        await stores.database.write(
            lambda tx: tx.exec_driver_sql("UPDATE runs SET status = 'completed' WHERE id = ?", (run_id,))
        )
    finally:
        await stores.database.aclose()
    await _forget(deployment, run_id)
    response = await deployment.front.http.get(f"/api/runs/{run_id}/stream")
    assert response.status_code == 410
    assert response.json()["first"] == 2


async def _forget(deployment: Deployment, run_id: str) -> None:
    stores = Stores.over(deployment.front.settings.database)
    try:
        await stores.database.write(lambda tx: tx.exec_driver_sql("DELETE FROM segments WHERE run_id = ?", (run_id,)))
    finally:
        await stores.database.aclose()
