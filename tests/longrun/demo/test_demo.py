import asyncio
import os
import re
import signal
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from rich.console import Console

from longrun.demo.command import DemoOptions, demonstrate
from longrun.demo.stack import surroundings
from tests.dev_server import found
from tests.longrun.pseudo_terminal import Terminal, own_terminal, terminal
from tests.processes import alive

ROOT = Path(__file__).parents[3]
# Whoever started the tests in the background has made them ignore Ctrl-C, and that is inherited.
DEMO = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);from longrun.cli.main import main; main()",
    "demo",
)
PROOFS = (
    "cut and resume",
    "worker killed",
    "nothing said twice",
    "one log, one cursor",
    "approval by signal",
    "log from history",
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a short path: a temporary folder of the demo's own must have room for sockets."""
    with tempfile.TemporaryDirectory(prefix="t-") as name:
        yield Path(name)


def kept_in(folder: Path) -> set[str]:
    """The files of the one demo whose folder was kept there."""
    (home,) = folder.glob("longrun-demo-*")
    return {path.name for path in home.rglob("*")}


@asynccontextmanager
async def child(folder: Path, screen: int, keys: int) -> AsyncGenerator[Process]:
    """``longrun demo`` as a process of its own, in an empty folder that is also where its own one is made."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        *DEMO,
        cwd=folder,
        env=environ,
        stdin=keys,
        stdout=screen,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def processes_of(folder: Path) -> list[int]:
    """The processes that name the folder on their command line or in their environment."""
    named: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "cmdline").read_bytes() + (process / "environ").read_bytes():
                named.append(int(process.name))
        except OSError:  # it has just ended
            continue
    return [pid for pid in named if alive(pid)]


async def without_a_terminal(folder: Path) -> None:
    async with child(folder, asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL) as process:
        output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text
    assert [name for name in PROOFS if f"\n✓ {name} " not in text] == [], text
    assert "✗" not in text
    assert re.search(r"\nAll of it proved in \d+ s\.\n", text)
    assert re.search(r"Web UI: http://127\.0\.0\.1:\d+/namespaces/default/workflows/\S+\n", text)
    assert [line for line in text.splitlines() if len(line) > 100 or line != line.rstrip()] == []
    assert processes_of(folder) == []
    assert os.listdir(folder) == []  # noqa: PTH208 - names, in a test


async def at_a_terminal(screen: Terminal, folder: Path) -> None:
    """A person denies, looks around and keeps the folder."""
    console = Console(force_terminal=True, width=120, highlight=False)
    async with asyncio.TaskGroup() as group:
        playing = group.create_task(demonstrate(DemoOptions(keep=True), console))
        await screen.shows("[a]pprove or [d]eny?", patience=90)
        assert "# What longrun promises\r\n" in screen.seen
        screen.types("what?\n")
        await screen.shows("[a]pprove or [d]eny?", times=2)
        screen.types("d\n")
        await screen.shows("Enter ends it.", patience=60)
        screen.types("\n")
    assert playing.result() == 0, screen.seen
    await screen.shows("longrun dev --home ")
    assert "report.md was not written" in screen.seen
    assert "report.md" not in kept_in(folder)
    assert "demo.log" in kept_in(folder)


@pytest.mark.server
@pytest.mark.timeout(180)
async def test_two_demos_at_once_prove_everything_without_a_terminal_and_at_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found()
    piped, kept = folder / "a", folder / "b"
    piped.mkdir()
    kept.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(kept))
    with own_terminal() as screen:
        async with asyncio.TaskGroup() as both:
            both.create_task(without_a_terminal(piped))
            both.create_task(at_a_terminal(screen, kept))


@pytest.mark.server
@pytest.mark.timeout(120)
async def test_ctrl_c_while_the_worker_is_dead_leaves_no_process_and_no_folder(folder: Path) -> None:
    found()
    with terminal() as screen:
        async with child(folder, screen.inside, screen.inside) as process:
            await screen.shows("▌ KILL", patience=60)
            assert processes_of(folder)
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
        await screen.shows("All processes have ended and the folder is removed")
    assert processes_of(folder) == []
    assert os.listdir(folder) == []  # noqa: PTH208 - names, in a test


@pytest.mark.server
async def test_a_demo_that_cannot_go_on_says_so_and_keeps_its_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with (folder / "screen").open("w+", encoding="utf-8") as file:
        status = await demonstrate(DemoOptions(model="scripted/missing"), Console(file=file))
        file.seek(0)
        text = file.read()
    assert status == 1, text
    assert "\n✗ cut and resume        the run ended too early: run.failed\n" in text
    assert "NOT proved" in text
    assert "demo.log" in kept_in(folder)


def test_what_would_lead_elsewhere_does_not_reach_the_demo(tmp_path: Path) -> None:
    given = {"PATH": "/bin", "TEMPORAL_ADDRESS": "far:7233", "LONGRUN_DATABASE_URL": "postgresql://far/log"}
    environ = surroundings(given, tmp_path)
    assert environ["PATH"] == "/bin"
    assert "TEMPORAL_ADDRESS" not in environ
    assert environ["LONGRUN_DATABASE_URL"] == ""
    assert environ["LONGRUN_WORKSPACE"] == str(tmp_path / "workspace")
