"""The lists of the command line, against a gateway over real sockets."""

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from longrun.cli.main import app
from longrun.client import ClientError
from tests.running import Front, running

SCRIPTS = {"answer": "turns: [[{text: All is well.}]]"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def front(temporal: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Front]:
    async with running(temporal, tmp_path_factory.mktemp("lists"), scripts=SCRIPTS) as front:
        for text in ("one", "two", "three"):
            await front.ended((await front.start({"model": "scripted/answer"}, text))["id"])
        kept = {"name": "keeper", "model": "scripted/answer", "tools": ["read_file"], "system": "Be brief."}
        assert (await front.http.post("/api/agents", json=kept)).status_code == 201
        yield front


async def longrun(front: Front, *arguments: str, stdin: str | None = None) -> str:
    given = [*arguments, "--url", front.base_url]
    result = await asyncio.to_thread(CliRunner().invoke, app, given, input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.mark.server
async def test_runs_are_listed_newest_first_and_older_ones_are_not_hidden(front: Front) -> None:
    listed = (await front.http.get("/api/runs")).json()["runs"]
    header, *lines = (await longrun(front, "list")).splitlines()
    assert header.split() == ["run", "status", "agent", "model", "created"]
    assert [line.split()[:4] for line in lines] == [
        [run["id"], "completed", "inline", "scripted/answer"] for run in listed
    ]
    *_, last = (await longrun(front, "list", "--limit", "2")).splitlines()
    assert last == f"2 runs; older ones: --before {listed[1]['id']}"
    _, *lines = (await longrun(front, "list", "--before", listed[1]["id"])).splitlines()
    assert [line.split()[0] for line in lines] == [run["id"] for run in listed[2:]]


@pytest.mark.server
async def test_runs_are_filtered_by_their_status(front: Front) -> None:
    assert len((await longrun(front, "list", "--status", "completed", "--json")).splitlines()) >= 3
    assert (await longrun(front, "list", "--status", "failed", "--json")) == ""
    with pytest.raises(ClientError, match="there is no status 'done': it is one of queued, running, waiting"):
        await longrun(front, "list", "--status", "done")


@pytest.mark.server
async def test_agents_and_tools_are_listed_for_people_and_for_programs(front: Front) -> None:
    (agent,) = map(json.loads, (await longrun(front, "agents", "--json")).splitlines())
    assert (agent["name"], agent["tools"][0]["name"]) == ("keeper", "read_file")
    assert (await longrun(front, "agents")).splitlines()[1].split()[:3] == ["keeper", "scripted/answer", "read_file"]
    named = [json.loads(line)["name"] for line in (await longrun(front, "tools", "--json")).splitlines()]
    assert "run_python" in named
    assert [line.split()[0] for line in (await longrun(front, "tools")).splitlines()[1:]] == named


@pytest.mark.server
@pytest.mark.parametrize("arguments", [("-",), ()])
async def test_a_prompt_is_read_from_stdin(front: Front, arguments: tuple[str, ...]) -> None:
    started = await longrun(front, "run", *arguments, "--model", "scripted/answer", "--no-watch", stdin="Say\nit.\n")
    (accepted, *_) = await front.frames(started.strip())
    assert json.loads(accepted[2])["input"]["parts"][0]["text"] == "Say\nit."


def test_no_prompt_at_all_is_said() -> None:
    result = CliRunner().invoke(app, ["run"], input="")
    assert result.exit_code == 2
    assert "nothing came on stdin" in result.output
