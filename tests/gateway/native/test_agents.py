"""Agents over HTTP."""

import asyncio
from pathlib import Path

from longrun.runtime.clock import now
from longrun.runtime.settings import Settings
from longrun.workflows.contract.agents import ToolSpec
from tests.gateway.native.conftest import Stand
from tests.running import serving

SPEC = {"name": "writer", "model": "scripted/hello", "system": "Be brief.", "tools": ["list_files"]}


async def test_an_agent_is_kept_found_changed_and_deleted(stand: Stand) -> None:
    http = stand.front.http
    created = await http.post("/api/agents", json=SPEC)
    assert created.status_code == 201
    agent = created.json()
    assert created.headers["location"] == f"/api/agents/{agent['id']}"
    assert (await http.get("/api/agents/writer")).json() == agent
    changed = await http.patch(f"/api/agents/{agent['id']}", json={"system": "Be long.", "name": "poet"})
    assert changed.json() == {
        **agent,
        "system": "Be long.",
        "name": "poet",
        "updated_at": changed.json()["updated_at"],
    }
    assert [each["name"] for each in (await http.get("/api/agents")).json()["agents"]] == ["poet"]
    assert (await http.delete("/api/agents/poet")).status_code == 204
    assert (await http.get("/api/agents/poet")).status_code == 404


async def test_changes_that_come_at_once_all_count(stand: Stand) -> None:
    http = stand.front.http
    await http.post("/api/agents", json={"name": "busy"})
    for number in range(10):
        most = {"max_output_tokens": number + 1}
        changes = {"system": f"System {number}.", "model": f"scripted/m{number}", "params": most}
        answers = await asyncio.gather(
            *(http.patch("/api/agents/busy", json={field: value}) for field, value in changes.items())
        )
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        agent = (await http.get("/api/agents/busy")).json()
        assert {field: agent[field] for field in changes} == {**changes, "params": agent["params"] | most}


async def test_an_agent_without_a_model_gets_the_servers(stand: Stand) -> None:
    created = await stand.front.http.post("/api/agents", json={"name": "plain"})
    assert created.json()["model"] == stand.front.settings.model


async def test_a_name_can_be_taken_only_once(stand: Stand) -> None:
    await stand.front.http.post("/api/agents", json={"name": "first"})
    await stand.front.http.post("/api/agents", json={"name": "second"})
    again = await stand.front.http.post("/api/agents", json={"name": "first"})
    renamed = await stand.front.http.patch("/api/agents/second", json={"name": "first"})
    for response in (again, renamed):
        assert response.status_code == 409
        assert [error["field"] for error in response.json()["errors"]] == ["name"]


async def test_a_change_is_checked_as_a_whole(stand: Stand) -> None:
    await stand.front.http.post("/api/agents", json={"name": "whole"})
    response = await stand.front.http.patch("/api/agents/whole", json={"params": {"temperature": 9}})
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == ["params.temperature"]


async def test_a_tool_that_no_worker_offers_is_named_with_those_that_there_are(stand: Stand) -> None:
    known = (
        ToolSpec(name="clock", description="Time.", parameters={}),
        ToolSpec(name="dig", description="", parameters={}),
    )
    agent = {"name": "digger", "tools": ["clock", "fly"]}
    unchecked = await stand.front.http.post("/api/agents", json=agent)
    assert unchecked.status_code == 201  # no worker has said what there is
    await stand.stores.agents.offer_tools(known, now())
    listed = await stand.front.http.get("/api/tools")
    assert [tool["name"] for tool in listed.json()["tools"]] == ["clock", "dig"]
    kept = await stand.front.http.post("/api/agents", json={**agent, "name": "other"})
    inline = await stand.front.http.post("/api/runs", json={"agent": {"tools": ["fly"]}, "input": "go"})
    for response, field in ((kept, "tools.1"), (inline, "agent.tools.0")):
        assert response.status_code == 422
        (error,) = response.json()["errors"]
        assert error["field"] == field
        assert "clock, dig" in error["message"]


async def test_a_model_of_a_provider_that_nobody_knows_is_refused_with_those_that_there_are(stand: Stand) -> None:
    refused = await stand.front.http.post("/api/agents", json={"name": "lost", "model": "opnai/gpt"})
    started = await stand.front.http.post("/api/runs", json={"agent": {"model": "opnai/gpt"}, "input": "hi"})
    known = "there is no provider 'opnai'; there are openai, openai-chat, anthropic, scripted"
    for response, field in ((refused, "model"), (started, "agent.model")):
        assert response.status_code == 422
        assert response.json()["errors"] == [{"field": field, "message": known}]


async def test_a_host_of_the_settings_file_is_a_provider(tmp_path: Path) -> None:
    file = tmp_path / "hosts.toml"
    file.write_text('[providers.mine]\nkind = "openai-chat"\nbase_url = "http://localhost:1/v1"\n')
    async with serving(Settings(home=tmp_path, providers=file)) as front:
        made = await front.http.post("/api/agents", json={"name": "own", "model": "mine/llama"})
        assert made.status_code == 201, made.text
