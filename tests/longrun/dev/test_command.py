import asyncio
import io
import os
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx2
import pytest
from rich.console import Console

from longrun.dev.command import develop, listen_on, only_one
from longrun.dev.plan import DevOptions
from longrun.dev.temporal.config import SetupError
from tests.dev_server import found
from tests.patience import until_true

ROOT = Path(__file__).parents[3]


@dataclass
class Screen:
    """A console that is a string."""

    file: io.StringIO = field(default_factory=io.StringIO)

    @property
    def console(self) -> Console:
        return Console(file=self.file, width=200)

    @property
    def text(self) -> str:
        return self.file.getvalue()

    def after(self, label: str) -> str:
        """What was printed behind a label."""
        found = re.search(rf"{label} +(\S+)$", self.text, re.MULTILINE)
        assert found is not None, self.text
        return found[1]

    async def until(self, condition: Callable[[], object], running: asyncio.Task[None]) -> None:
        def met() -> object:
            assert not running.done(), (self.text, running.exception())
            return condition()

        await until_true(met, lambda: f"it: {self.text}")


@pytest.fixture
def needs_a_server() -> None:
    found()


def children(pattern: str) -> list[int]:
    """The processes below this one whose command line holds the pattern."""
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            line = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:  # it has just ended
            continue
        if parent == os.getpid() and pattern in line:
            found.append(int(process.name))
    return found


async def started_beside(home: Path) -> int:
    """The status of commands that are told nothing but the folder."""
    environ = {name: value for name, value in os.environ.items() if name not in ("LONGRUN_URL", "TEMPORAL_ADDRESS")}
    for arguments in (("run", "hi", "--no-watch"), ("review",)):
        command = [sys.executable, "-m", "longrun.cli.main", *arguments]
        process = await asyncio.create_subprocess_exec(*command, env={**environ, "LONGRUN_HOME": str(home)}, cwd=ROOT)
        if status := await process.wait():
            return status
    return 0


@pytest.mark.server
@pytest.mark.usefixtures("needs_a_server")
async def test_dev_runs_everything_revives_a_killed_worker_and_stops_on_sigterm(tmp_path: Path) -> None:
    screen, before = Screen(), children("")
    options = DevOptions(home=tmp_path, port=0, temporal_port=0, ui_port=0, model="scripted/demo")
    running = asyncio.create_task(develop(options, screen.console))
    await screen.until(lambda: "ready; Ctrl-C stops all" in screen.text, running)
    async with httpx2.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{screen.after('API')}/api/ready")).status_code == 200
        assert (await client.get(screen.after("Web UI"))).status_code == 200
    assert await started_beside(tmp_path) == 0

    (worker,) = children("longrun.activities.worker")
    os.kill(worker, signal.SIGKILL)
    await screen.until(lambda: "worker │ is ready again" in screen.text, running)
    assert "worker │ was killed by SIGKILL: starting it again in 0.5 s" in screen.text

    taken = int(screen.after("API").rpartition(":")[2])
    with pytest.raises(SetupError, match="another `longrun dev` runs over"):
        await develop(replace(options, port=taken), Screen().console)
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    assert "stopping" in screen.text
    assert screen.text.endswith("longrun │ all stopped\n")
    assert children("") == before


@pytest.mark.server
async def test_a_server_that_is_given_is_used_and_left_running(
    tmp_path: Path, temporal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal)
    screen = Screen()
    running = asyncio.create_task(develop(DevOptions(home=tmp_path, port=0), screen.console))
    await screen.until(lambda: "ready; Ctrl-C stops all" in screen.text, running)
    assert screen.after("Temporal ") == temporal
    assert "Web UI" not in screen.text
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    await running
    assert children("start-dev")


async def test_a_child_process_that_cannot_start_is_told_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "temporal"
    binary.write_text("#!/bin/sh\necho this is no database\nexit 1\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    options = DevOptions(home=tmp_path / "home", port=0, temporal_port=0, ui_port=0)
    with pytest.raises(SetupError, match="temporal ended with status 1") as refused:
        await develop(options, Screen().console)
    assert "this is no database" in str(refused.value)
    assert "comes from another version of Temporal" in str(refused.value)
    assert children(str(tmp_path)) == []


async def test_a_given_server_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
    with pytest.raises(SetupError, match=r"Temporal at 127\.0\.0\.1:9 does not answer: unset TEMPORAL_ADDRESS"):
        await develop(DevOptions(home=tmp_path, port=0), Screen().console, patience=0.3)


async def test_a_signal_ends_the_wait_for_a_given_server(tmp_path: Path) -> None:
    environ = {**os.environ, "TEMPORAL_ADDRESS": "127.0.0.1:9", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "longrun.cli.main", "dev", "--port", "0", "--home", str(tmp_path)]
    process = await asyncio.create_subprocess_exec(
        *command, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, error = await process.communicate()
    assert (process.returncode, error) == (130, b"")


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SetupError, match=r"file/home cannot be written .*: set --home"),
        only_one(tmp_path / "file" / "home", "http://127.0.0.1:1", "127.0.0.1:2"),
    ):
        pytest.fail("the folder cannot be there")


def test_a_line_stands_behind_the_name_of_its_child_process_without_control_codes_in_a_file() -> None:
    screen = Screen()
    listen_on(screen.console)("gateway", "\x1b[31mred\x1b[0m [bold]not markup[/bold]")
    assert screen.text == "  gateway │ red [bold]not markup[/bold]\n"
