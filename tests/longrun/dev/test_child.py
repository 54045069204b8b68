import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from longrun.dev.child import ChildProcess, Probe, Recipe, Watchdog, exit_text
from longrun.dev.temporal.config import SetupError
from longrun.dev.watchdog import kill_what_remains
from tests.dev_server import take_port
from tests.patience import PATIENCE, until_true

WAIT = "import signal; print('up', flush=True); signal.pause()"
DEAF = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
)
LISTEN = """
import signal, socket
server = socket.create_server(("127.0.0.1", {port}))
print("up", flush=True)
signal.pause()
"""
SPAWN = """
import signal, subprocess, sys
subprocess.Popen([sys.executable, "-c", {code!r}], start_new_session={detached})
signal.pause()
"""


def recipe(code: str, *, grace: float = PATIENCE, patience: float = PATIENCE, probe: Probe | None = None) -> Recipe:
    return Recipe(
        "child", [sys.executable, "-c", code], os.environ, ready_line="up", probe=probe, patience=patience, grace=grace
    )


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest_asyncio.fixture
async def watchdog() -> AsyncIterator[Watchdog]:
    watchdog = Watchdog()
    await watchdog.start()
    yield watchdog
    await watchdog.close()


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def make(lines: list[str], watchdog: Watchdog) -> Callable[[Recipe], ChildProcess]:
    return lambda recipe: ChildProcess(recipe, lambda name, text: lines.append(f"{name}: {text}"), watchdog)


Make = Callable[[Recipe], ChildProcess]


async def test_a_child_process_is_ready_when_its_line_has_come_and_stops_on_request(
    make: Make, lines: list[str]
) -> None:
    child = make(recipe(WAIT))
    await child.start()
    await child.ready()
    assert child.pid > 0
    await child.stop()

    assert lines == ["child: up"]
    assert child.pid == 0


async def test_a_child_process_is_ready_only_when_its_probe_says_so_too(make: Make) -> None:
    answers = [True, False, False]

    async def probe() -> bool:
        return answers.pop()

    child = make(recipe(WAIT, probe=probe))
    await child.start()
    await child.ready()
    assert answers == []
    await child.stop()


async def test_what_a_probe_refuses_is_the_reason_that_is_given(make: Make) -> None:
    async def probe() -> bool:
        raise SetupError("the attribute has another type")

    child = make(recipe(WAIT, probe=probe))
    await child.start()
    with pytest.raises(SetupError, match="the attribute has another type"):
        await child.ready()
    await child.stop()


async def test_a_child_process_that_ends_early_shows_its_last_lines(make: Make) -> None:
    child = make(recipe("print('no disk'); raise SystemExit(3)"))
    await child.start()
    with pytest.raises(SetupError, match=r"child ended with status 3; its last lines:\n  \| no disk"):
        await child.ready()
    assert await child.ended() == "ended with status 3"


async def test_a_child_process_that_never_gets_ready_is_given_up(make: Make) -> None:
    child = make(recipe("import signal; signal.pause()", patience=0.2))
    await child.start()
    with pytest.raises(SetupError, match=r"was not ready after 0\.2 s"):
        await child.ready()
    await child.stop()


async def test_a_program_that_is_not_there_is_named(make: Make) -> None:
    child = make(Recipe("child", ["/no/such/program"], os.environ))
    with pytest.raises(SetupError, match=r"child cannot be started: .*/no/such/program"):
        await child.start()
    with pytest.raises(SetupError, match="does not run"):
        await child.ready()
    assert await child.ended() == "does not run"
    await child.stop()
    child.kill()


async def test_a_child_process_that_ignores_the_request_is_killed_after_its_grace(make: Make, lines: list[str]) -> None:
    child = make(recipe(DEAF, grace=0.2))
    await child.start()
    await child.ready()
    await child.stop()
    assert lines[-1] == "child: did not end within 0.2 s: killed"


async def test_what_a_child_process_started_ends_with_it(make: Make) -> None:
    port = take_port()
    child = make(recipe(SPAWN.format(code=LISTEN.format(port=port), detached=False)))
    await child.start()
    await child.ready()
    assert answers(port)
    await child.stop()
    await until_true(lambda: not answers(port), lambda: "the end of its child")


async def test_a_process_that_changed_its_group_does_not_hold_up_the_stop(make: Make, lines: list[str]) -> None:
    code = WAIT.replace("'up'", "'up', __import__('os').getpid()")
    child = make(recipe(SPAWN.format(code=code, detached=True)))
    await child.start()
    await child.ready()
    async with asyncio.timeout(PATIENCE):
        await child.stop()
    os.kill(int(lines[0].split()[-1]), signal.SIGKILL)


async def test_a_line_without_an_end_is_passed_on_in_pieces(make: Make, lines: list[str]) -> None:
    child = make(recipe("import sys; sys.stdout.write('x' * 200_000 + '\\nup')"))
    await child.start()
    assert await child.ended() == "ended with status 0"
    assert "".join(line.removeprefix("child: ") for line in lines) == "x" * 200_000 + "up"


async def test_the_watchdog_kills_what_still_runs_when_the_starter_is_killed(tmp_path: Path) -> None:
    port = take_port()
    starter = tmp_path / "starter.py"
    starter.write_text(f"""
import asyncio, os, signal, sys
from longrun.dev.child import ChildProcess, Recipe, Watchdog

async def main():
    watchdog = Watchdog()
    await watchdog.start()
    command = [sys.executable, "-c", {LISTEN.format(port=port)!r}]
    child = ChildProcess(Recipe("child", command, os.environ, ready_line="up"), lambda name, text: None, watchdog)
    await child.start()
    await child.ready()
    print("started", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
""")
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(starter), env=environ, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        assert await process.stdout.readline() == b"started\n"
    assert answers(port)
    process.kill()
    await process.wait()
    await until_true(lambda: not answers(port), lambda: "the end of its child")


async def test_the_watchdog_leaves_alone_what_was_taken_off_its_list() -> None:
    kept, lost = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", WAIT, start_new_session=True) for _ in range(2)
    ]
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", "", start_new_session=True)
    await ended.wait()

    assert kill_what_remains([f"+{kept.pid}\n", f"+{lost.pid}\n", f"+{ended.pid}\n", f"-{kept.pid}\n"]) == {
        lost.pid,
        ended.pid,
    }
    assert await lost.wait() == -signal.SIGKILL
    assert kept.returncode is None
    kept.kill()
    await kept.wait()


async def test_a_watchdog_that_was_not_started_watches_nothing() -> None:
    watchdog = Watchdog()
    watchdog.watch(1)
    watchdog.forget(1)
    await watchdog.close()


def test_an_end_is_described() -> None:
    assert exit_text(0) == "ended with status 0"
    assert exit_text(-9) == "was killed by SIGKILL"
