import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from longrun.cli.main import app, main
from longrun.client import ApiError
from longrun.runtime.settings import Settings
from longrun.terminal import watch
from tests.longrun.pseudo_terminal import CLEAR, Terminal, own_terminal, terminal
from tests.running import Front, running, serving

ROOT = Path(__file__).parents[3]
SCRIPTS = {
    "answer": "turns: [[{reasoning: I think}, {text: All is well.}]]",
    "fails": "turns: [[{fail: {status: 401, message: no such key, times: 9}}]]",
    "hangs": "turns: [[{text: One moment}, {hang: true}]]",
    "writes": """
turns:
  - - text: I write it.
    - tool_calls: [{name: write_file, arguments: {path: a.txt, content: one}}]
  - text: It is written.
""",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def front(temporal: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Front]:
    async with running(temporal, tmp_path_factory.mktemp("watch"), scripts=SCRIPTS) as front:
        # The worker of this process says on stdout that it is ready, which must not be taken for a command's output.
        await front.ended((await front.start(scripted("answer")))["id"])
        yield front


async def longrun(front: Front, *arguments: str) -> tuple[int, str]:
    """Run a command in a thread of its own, without a terminal; its status and what it printed."""
    given = [*arguments, "--url", front.base_url]
    result = await asyncio.to_thread(CliRunner().invoke, app, given)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


@asynccontextmanager
async def at_terminal(front: Front, *arguments: str) -> AsyncGenerator[tuple[Terminal, asyncio.subprocess.Process]]:
    """Run a command as a person would; it must have ended with the block."""
    environ = {**os.environ, "LONGRUN_URL": front.base_url, "TERM": "xterm", "COLUMNS": "200"}
    with terminal() as screen:
        command = [sys.executable, "-m", "longrun.cli.main", *arguments]
        inside = screen.inside
        process = await asyncio.create_subprocess_exec(
            *command, stdin=inside, stdout=inside, stderr=inside, cwd=ROOT, env=environ
        )
        try:
            yield screen, process
            async with asyncio.timeout(20):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def scripted(name: str, *tools: str) -> dict[str, Any]:
    return {"model": f"scripted/{name}", "tools": tools}


@pytest.mark.server
async def test_run_shows_the_run_to_its_end(front: Front) -> None:
    status, output = await longrun(front, "run", "How are you?", "--model", "scripted/answer", "--thread", "t-1")
    assert status == 0
    begin, *lines = output.splitlines()
    assert re.fullmatch(r"run \S+ · inline \(scripted/answer\) · thread t-1", begin)
    assert lines[:3] == ["> How are you?", "I think", "All is well."]
    assert lines[3].startswith("completed (end_turn) · tokens: ")


@pytest.mark.server
async def test_a_kept_agent_is_found_by_its_name(front: Front) -> None:
    kept = {"name": "keeper", "model": "scripted/answer"}
    assert (await front.http.post("/api/agents", json=kept)).status_code == 201
    status, output = await longrun(front, "run", "hi", "--agent", "keeper")
    assert status == 0
    assert "keeper (scripted/answer)" in output


@pytest.mark.server
async def test_a_run_that_failed_is_status_1(front: Front) -> None:
    status, output = await longrun(front, "run", "hi", "--model", "scripted/fails")
    assert status == 1
    assert "no such key" in output
    assert output.splitlines()[-1].startswith("failed (llm_api_error)")


@pytest.mark.server
async def test_watch_gives_the_log_as_json_from_any_place(front: Front) -> None:
    status, printed = await longrun(front, "run", "hi", "--model", "scripted/answer", "--no-watch")
    assert status == 0
    run_id = printed.strip()
    await front.ended(run_id)
    whole = [data for _, _, data in await front.frames(run_id)]
    for after in range(len(whole)):
        status, output = await longrun(front, "watch", run_id, "--json", "--after", str(after))
        assert (status, output.splitlines()) == (0, whole[after:])
    status, output = await longrun(front, "watch", run_id, "--after", str(len(whole)))
    assert (status, output) == (0, f"nothing comes after event {len(whole)}: the run is completed\n")
    with pytest.raises(ApiError, match="beyond the run's last event"):
        await longrun(front, "watch", run_id, "--after", str(len(whole) + 1))


@pytest.mark.server
async def test_show_says_how_a_run_stands(front: Front) -> None:
    done = (await front.start(scripted("answer")))["id"]
    await front.ended(done)
    status, output = await longrun(front, "show", done)
    assert status == 0
    assert output.startswith(f"run {done}: completed (end_turn)\nagent inline (scripted/answer) · thread ")
    assert output.splitlines()[-1] == "All is well."
    _, printed = await longrun(front, "show", done, "--json")
    assert json.loads(printed) == await front.run(done)
    failed = (await front.start(scripted("fails")))["id"]
    await front.ended(failed)
    assert "no such key" in (await longrun(front, "show", failed))[1]


@pytest.mark.server
async def test_a_waiting_run_hears_what_is_said_and_can_be_ended(front: Front) -> None:
    run_id = (await front.start(scripted("writes", "write_file")))["id"]
    await front.waiting(run_id)
    _, output = await longrun(front, "show", run_id)
    assert 'waits for write_file(path: "a.txt", content: "one") · call ' in output
    assert await longrun(front, "say", run_id, "hurry") == (0, "the model sees it at its next step\n")
    assert await longrun(front, "cancel", run_id, "--reason", "too slow") == (0, "the run is told to end\n")
    status, output = await longrun(front, "watch", run_id)
    assert status == 1
    assert "`longrun review` lists what waits" in output
    assert re.search(r"^cancelled by \S+: too slow · ", output, re.MULTILINE)
    assert await longrun(front, "cancel", run_id) == (1, "the run is over already\n")
    with pytest.raises(ApiError, match="cancelled"):
        await longrun(front, "say", run_id, "hello?")


@pytest.mark.server
async def test_a_person_at_a_terminal_is_asked_and_sees_the_tool_run(front: Front) -> None:
    arguments = ("run", "write", "--model", "scripted/writes", "--tool", "write_file")
    async with at_terminal(front, *arguments) as (screen, process):
        await screen.shows("[s]kip?")
        screen.types("e\n")
        await screen.shows("(empty: back):")
        screen.types(CLEAR + '{"path": "b.txt", "content": "two"}\n')
        await screen.shows("completed (end_turn)")
    assert process.returncode == 0
    assert "approved with other arguments by " in screen.seen
    assert "It is written." in screen.seen
    assert (front.settings.workspace_folder / "b.txt").read_text() == "two"


@pytest.mark.server
async def test_a_question_goes_away_when_the_run_ends(front: Front) -> None:
    run_id = (await front.start(scripted("writes", "write_file")))["id"]
    with own_terminal() as screen:
        watching = asyncio.create_task(watch.watch(run_id, watch.Watch(front.base_url)))
        await screen.shows("[s]kip?")
        await front.http.post(f"/api/runs/{run_id}/cancel", json={"by": "bob"})
        assert await watching == 1
        await screen.shows("cancelled by bob")


@pytest.mark.server
async def test_whoever_stops_watching_is_told_where_to_go_on(front: Front, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = (await front.start(scripted("writes", "write_file")))["id"]
    await front.waiting(run_id)
    watching = asyncio.create_task(watch.watch(run_id, watch.Watch(front.base_url)))
    output = ""
    async with asyncio.timeout(10):
        while True:
            output += capsys.readouterr().out
            if "`longrun review`" in output:
                break
            await asyncio.sleep(0.01)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert re.search(rf"`longrun watch {run_id} --after \d+`", capsys.readouterr().out)
    await front.http.post(f"/api/runs/{run_id}/cancel", json={})


@pytest.mark.server
async def test_ctrl_c_ends_the_watching_and_not_the_run(front: Front) -> None:
    run_id = (await front.start(scripted("hangs")))["id"]
    async with at_terminal(front, "watch", run_id) as (screen, process):
        await screen.shows("One moment")
        process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    assert f"the run goes on; `longrun watch {run_id} --after " in screen.seen
    assert (await front.run(run_id))["status"] == "running"
    await longrun(front, "cancel", run_id)


@pytest.mark.server
async def test_ctrl_c_at_a_question_ends_the_watching_and_not_the_run(front: Front) -> None:
    run_id = (await front.start(scripted("writes", "write_file")))["id"]
    async with at_terminal(front, "watch", run_id) as (screen, process):
        await screen.shows("[s]kip?")
        screen.types("\x03")
    assert process.returncode == 130
    assert f"the run goes on; `longrun watch {run_id} --after " in screen.seen
    assert (await front.run(run_id))["status"] == "waiting"
    await longrun(front, "cancel", run_id)


async def test_without_temporal_a_signal_is_kept(tmp_path: Path) -> None:
    async with serving(Settings(home=tmp_path)) as front:
        _, printed = await longrun(front, "run", "hi", "--model", "scripted/answer", "--no-watch", "--json")
        run_id = json.loads(printed)["id"]
        kept = (0, "the run will be told when Temporal answers again\n")
        assert await longrun(front, "say", run_id, "more") == kept
        assert await longrun(front, "cancel", run_id) == kept


def test_an_agent_by_name_goes_without_a_model() -> None:
    result = CliRunner().invoke(app, ["run", "hi", "--agent", "a", "--model", "scripted/answer"])
    assert result.exit_code == 2


def test_a_gateway_that_is_not_there_is_one_line_and_status_2(
    free_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LONGRUN_PORT", str(free_port))
    monkeypatch.setattr(sys, "argv", ["longrun", "run", "hi"])
    with pytest.raises(SystemExit) as exited:
        main()
    assert exited.value.code == 2
    assert capsys.readouterr().err.startswith(f"longrun: nobody answers at http://127.0.0.1:{free_port}; `longrun dev`")
