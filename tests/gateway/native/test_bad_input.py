"""What is refused, and that nothing comes of it."""

import gzip
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from longrun.gateway.http.body import MOST_DEPTH
from longrun.runtime.ids import new_id
from longrun.workflows.contract.runs import RunState
from tests.build import order
from tests.gateway.native.conftest import Stand

CSV = {"Content-Type": "text/csv"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
OWN_PAGE = {"Host": "localhost", "Origin": "http://localhost"}
JSON = {"Content-Type": "application/json"}
MIB = 1024 * 1024


@dataclass(frozen=True)
class Bad:
    """A request that must be refused with ``status``, naming ``at``. ``{…}`` in the path names a run."""

    name: str
    status: int
    at: str
    method: str
    path: str
    json: Any = None
    content: bytes | Callable[[], AsyncIterator[bytes]] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def create(name: str, status: int, at: str, **changes: object) -> Bad:
    """A run that cannot be started."""
    body = {"agent": {"model": "scripted/x"}, "input": "hello", **changes}
    return Bad(name, status, at, "POST", "/api/runs", json=body)


def stream(name: str, at: str, query: str, **headers: str) -> Bad:
    """A position that cannot be read from."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Bad(name, 422, at, "GET", f"/api/runs/{{finished}}/stream{query}", headers=named)


async def endless() -> AsyncIterator[bytes]:
    """20 MB without a length."""
    for _ in range(20):
        yield b" " * MIB


RUNS = "/api/runs"
DECIDE = "/api/approvals/call-1"

BAD = [
    Bad("malformed JSON", 400, "body", "POST", RUNS, content=b'{"agent": ', headers=JSON),
    Bad("JSON with NaN", 400, "body", "POST", RUNS, content=b'{"agent": NaN}', headers=JSON),
    Bad("half a surrogate pair", 400, "body", "POST", RUNS, content=b'{"agent": "\\ud800"}', headers=JSON),
    Bad("JSON of absurd depth", 400, "body", "POST", RUNS, content=b"[" * 100_000, headers=JSON),
    Bad("a body of more levels than a run may have", 400, "body", "POST", RUNS,
        content=b'{"metadata": ' + b"[" * 150 + b"]" * 150 + b"}", headers=JSON),
    Bad("a number of 5,000 digits", 400, "body", "POST", RUNS, content=b'{"agent": %b}' % (b"9" * 5000), headers=JSON),
    Bad("a number beyond all floats", 422, "metadata.a.1", "POST", RUNS,
        content=b'{"metadata": {"a": [1, 1e400]}}', headers=JSON),
    Bad("bytes that are no text", 400, "body", "POST", RUNS, content=b'{"agent": "\xff"}', headers=JSON),
    Bad("a list instead of an object", 422, "body", "POST", RUNS, json=[1, 2]),
    Bad("no body", 422, "agent", "POST", RUNS),
    Bad("another content type", 415, "Content-Type", "POST", RUNS, content=b"a=b", headers=CSV),
    Bad("a form of a page", 415, "Content-Type", "POST", RUNS, content=b"{}", headers={**FORM, **OWN_PAGE}),
    Bad("a packed body", 415, "Content-Encoding", "POST", RUNS, content=gzip.compress(b" " * 50 * MIB),
        headers={**JSON, "Content-Encoding": "gzip"}),
    Bad("a body packed in another way", 415, "Content-Encoding", "POST", RUNS, content=b"{}",
        headers={**JSON, "Content-Encoding": "br"}),
    Bad("no content type", 415, "Content-Type", "POST", RUNS, content=b"{}"),
    Bad("20 MB with a length", 413, "body", "POST", RUNS, content=b" " * 20 * MIB, headers=JSON),
    Bad("20 MB without a length", 413, "body", "POST", RUNS, content=endless, headers=JSON),
    create("an unknown agent", 422, "agent", agent="nobody"),
    create("an agent that is a number", 422, "agent", agent=5),
    create("a model without provider", 422, "agent.model", agent={"model": "gpt"}),
    create("an unknown provider", 422, "agent.model", agent={"model": "acme/gpt"}),
    create("an unknown field", 422, "inpt", inpt="x"),
    create("an unknown field deep down", 422, "agent.params.heat", agent={"params": {"heat": 1}}),
    create("a tool named twice", 422, "agent.tools", agent={"model": "scripted/x", "tools": ["a", "a"]}),
    create("a rule that is no expression", 422, "agent.tools.0.approval.rules.0", agent={
        "model": "scripted/x",
        "tools": [{"name": "a", "approval": {"when": [{"argument": "b", "value": "("}]}}],
    }),
    create("a rule that repeats too often", 422, "agent.tools.0.approval.rules.0", agent={
        "model": "scripted/x",
        "tools": [{"name": "a", "approval": {"when": [{"argument": "b", "value": "a{1001}"}]}}],
    }),
    create("a rule of too many brackets", 422, "agent.tools.0.approval.rules.0", agent={
        "model": "scripted/x",
        "tools": [{"name": "a", "approval": {"when": [{"argument": "b", "value": "(" * 5000}]}}],
    }),
    create("an agent with a NUL character", 422, "agent.model", agent={"model": "scripted/\0"}),
    create("an input with a NUL character", 422, "input", input="a\0b"),
    create("a NUL character in a name", 422, "metadata.a\0", metadata={"a\0": 1}),
    create("an input that is too long as JSON", 422, "input", input="\1" * (MIB // 5)),
    create("an empty input", 422, "input", input=""),
    create("an input that is a number", 422, "input", input=7),
    create("an input of more than 1 MiB", 422, "input", input="é" * (MIB // 2 + 1)),
    create("an input from somebody else", 422, "input.role", input={"role": "assistant", "parts": [{"text": "x"}]}),
    create("an input of parts of another type", 422, "input.parts.0.type", input={"parts": [{"type": "x"}]}),
    create("an input of long parts", 422, "input.parts", input={"parts": [{"text": "x" * MIB}, {"text": "y"}]}),
    create("a negative limit", 422, "limits.max_steps", limits={"max_steps": -1}),
    create("a limit that is a word", 422, "limits.deadline", limits={"deadline": "soon"}),
    create("a deadline after the end of the world", 422, "limits.deadline", limits={"deadline": 1e300}),
    create("an approval that waits forever", 422, "limits.approval_timeout", limits={"approval_timeout": 1e300}),
    create("metadata that is a list", 422, "metadata", metadata=[]),
    create("metadata that is too large", 422, "metadata", metadata={"a": "x" * 20_000}),
    create("a thread id with a slash", 422, "thread_id", thread_id="a/b"),
    create("an unknown on_busy", 422, "on_busy", on_busy="wait"),
    Bad("an unknown query parameter", 422, "steam", "POST", f"{RUNS}?steam=true", json={"agent": "a", "input": "b"}),
    Bad("an idempotency key that is too long", 422, "Idempotency-Key", "POST", RUNS,
        json={"agent": {"model": "scripted/x"}, "input": "b"}, headers={"Idempotency-Key": "k" * 300}),
    Bad("an agent without a name", 422, "name", "POST", "/api/agents", json={"model": "scripted/x"}),
    Bad("an agent with a bad name", 422, "name", "POST", "/api/agents", json={"name": "../x", "model": "scripted/x"}),
    Bad("an unknown agent to look at", 404, "agent_id", "GET", "/api/agents/nobody"),
    Bad("an unknown agent to change", 404, "agent_id", "PATCH", "/api/agents/nobody", json={"system": "x"}),
    Bad("an unknown agent to delete", 404, "agent_id", "DELETE", "/api/agents/nobody"),
    Bad("an agent id with a NUL character", 422, "agent_id", "GET", "/api/agents/a%00"),
    Bad("a run id that is none", 422, "run_id", "GET", "/api/runs/17"),
    Bad("an unknown status in a list", 422, "status", "GET", "/api/runs?status=lost"),
    Bad("a page of nothing", 422, "limit", "GET", "/api/runs?limit=0"),
    Bad("a thread with a NUL character", 422, "thread", "GET", "/api/runs?thread=%00"),
    Bad("a cursor that is no id", 422, "before", "GET", "/api/runs?before=yesterday"),
    stream("a negative position", "starting_after", "?starting_after=-1"),
    stream("a position that is a word", "starting_after", "?starting_after=end"),
    stream("a position beyond the end", "starting_after", "?starting_after=201"),
    stream("a position beyond all numbers", "starting_after", "?starting_after=99999999999999999999999"),
    stream("an unknown view", "view", "?view=all"),
    stream("a last id that is a word", "Last-Event-ID", "", Last_Event_ID="abc"),
    stream("a negative last id", "Last-Event-ID", "", Last_Event_ID="-3"),
    stream("a last id of 5,000 digits", "Last-Event-ID", "", Last_Event_ID="9" * 5000),
    stream("a last id beyond the end", "Last-Event-ID", "?starting_after=3", Last_Event_ID="201"),
    Bad("events beyond the end", 422, "starting_after", "GET", "/api/runs/{finished}/events?starting_after=500"),
    Bad("a cancel with a list", 422, "reason", "POST", "/api/runs/{waiting}/cancel", json={"reason": ["x"]}),
    Bad("nothing to say", 422, "text", "POST", "/api/runs/{waiting}/messages", json={"text": ""}),
    Bad("something to say to the dead", 409, "run_id", "POST", "/api/runs/{finished}/messages", json={"text": "x"}),
    Bad("an unknown decision", 422, "decision", "POST", DECIDE, json={"decision": "maybe"}),
    Bad("an edit without arguments", 422, "args", "POST", DECIDE, json={"decision": "edit"}),
    Bad("an answer without answer", 422, "answer", "POST", DECIDE, json={"decision": "answer"}),
    Bad("a decision for a bad run id", 422, "run_id", "POST", DECIDE, json={"decision": "deny", "run_id": "x"}),
    Bad("a decision on a call of two runs", 422, "run_id", "POST", "/api/approvals/twin-1", json={"decision": "deny"}),
    Bad("a call id that is too long", 422, "call_id", "POST", f"/api/approvals/{'c' * 5000}",
        json={"decision": "deny"}),
    Bad("a decision without a call id", 422, "call_id", "POST", "/api/approvals", json={"decision": "deny"}),
    Bad("a decision on an unknown call, by the body", 404, "call_id", "POST", "/api/approvals",
        json={"decision": "deny", "call_id": "nothing"}),
    Bad("results of no call", 422, "call_id", "GET", "/api/runs/{finished}/results"),
    Bad("an answer of more than 1 MiB", 422, "answer", "POST", DECIDE,
        json={"decision": "answer", "answer": "x" * MIB}),
    Bad("arguments of more than 1 MiB", 422, "args", "POST", DECIDE,
        json={"decision": "edit", "args": {"a": "x" * MIB}}),
    Bad("a decision on an unknown call", 404, "call_id", "POST", "/api/approvals/nothing", json={"decision": "deny"}),
    Bad("approvals of a bad run id", 422, "run_id", "GET", "/api/approvals?run_id=x"),
    Bad("approvals from no page's end on", 422, "before", "GET", "/api/approvals?before=eA"),
    Bad("approvals in an unknown state", 422, "status", "GET", "/api/approvals?status=open"),
]  # fmt: skip


@pytest.mark.parametrize("bad", [pytest.param(bad, id=bad.name) for bad in BAD])
async def test_bad_input_is_refused_by_name_and_leaves_nothing_behind(stand: Stand, bad: Bad) -> None:
    before = await stand.rows()
    path = bad.path.format(finished=stand.finished, waiting=stand.waiting)
    content = bad.content() if callable(bad.content) else bad.content
    headers = dict(bad.headers)
    response = await stand.front.http.request(bad.method, path, json=bad.json, content=content, headers=headers)
    assert response.status_code == bad.status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == bad.status
    assert problem["detail"]
    assert bad.at in [error["field"] for error in problem["errors"]], problem
    assert await stand.rows() == before


async def test_a_decision_or_a_used_key_after_the_end_leaves_nothing_behind(stand: Stand) -> None:
    key = {"Idempotency-Key": new_id()}
    body = {"agent": {"model": "scripted/x"}, "input": "one"}
    assert (await stand.front.http.post(RUNS, json=body, headers=key)).status_code == 201
    before = await stand.rows()
    late = await stand.front.http.post(DECIDE, json={"decision": "deny", "run_id": stand.finished})
    reused = await stand.front.http.post(RUNS, json={**body, "input": "two"}, headers=key)
    assert (late.status_code, late.json()["errors"][0]["field"]) == (409, "run_id")
    assert (reused.status_code, reused.json()["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert await stand.rows() == before


async def test_the_deepest_body_there_is_can_be_kept_and_read(stand: Stand) -> None:
    around = b'{"agent": {"model": "scripted/x"}, "input": "x", "metadata": {"a": %b}}'
    body = around % (b"[" * (MOST_DEPTH - 2) + b"]" * (MOST_DEPTH - 2))
    response = await stand.front.http.post(RUNS, content=body, headers=JSON)
    assert response.status_code == 201
    run = await stand.front.run(response.json()["id"])
    state = RunState(order=order().model_copy(update={"metadata": run["metadata"]}))
    assert RunState.model_validate_json(state.model_dump_json()) == state


async def test_malformed_json_is_answered_with_its_place(stand: Stand) -> None:
    response = await stand.front.http.post("/api/runs", content=b'{\n  "agent": oops}', headers=JSON)
    assert "line 2 column 12" in response.json()["detail"]


async def test_every_wrong_field_is_named_at_once(stand: Stand) -> None:
    response = await stand.front.http.post("/api/runs", json={"agent": {"model": "x"}, "input": "", "extra": 1})
    assert [error["field"] for error in response.json()["errors"]] == ["agent.model", "input", "extra"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/api/runs", 405)])
async def test_a_path_or_method_that_is_not_there_is_a_problem_too(
    stand: Stand, method: str, path: str, status: int
) -> None:
    response = await stand.front.http.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status


async def test_a_wrong_method_is_told_every_right_one(stand: Stand) -> None:
    response = await stand.front.http.put("/api/runs")
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


async def test_an_unknown_run_needs_temporal_to_be_denied_for_sure(stand: Stand) -> None:
    response: httpx2.Response = await stand.front.http.get(f"/api/runs/{new_id()}")
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert response.headers["content-type"] == "application/problem+json"
