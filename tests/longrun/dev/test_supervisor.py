import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from longrun.dev.child import ChildProcess, Recipe, Watchdog
from longrun.dev.supervisor import Supervisor
from longrun.dev.temporal.config import SetupError
from tests.patience import PATIENCE, until_true

WAIT = "import signal; print('up', flush=True); signal.pause()"
POLITE = """
import os, signal, sys
# Not print: the signal may come in the middle of the other one.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(os.write(1, b"bye\\n") - 4))
print("up", flush=True)
signal.pause()
"""
DEAF = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
)
# Comes up, then fails once, then comes up again; counts its lives in the file.
FAILS_ONCE = """
import pathlib, signal, sys
lives = pathlib.Path({path!r})
lives.write_text(lives.read_text() + "x" if lives.exists() else "x")
if lives.read_text() == "xx":
    sys.exit(5)
print("up", flush=True)
signal.pause()
"""


class Harness:
    """Services with their log, made from code."""

    def __init__(self, watchdog: Watchdog) -> None:
        self.lines: list[str] = []
        self._watchdog = watchdog

    def listen(self, name: str, text: str) -> None:
        self.lines.append(f"{name}: {text}")

    def child(self, name: str, code: str, grace: float = 5.0) -> ChildProcess:
        command = [sys.executable, "-c", code]
        return ChildProcess(
            Recipe(name, command, os.environ, ready_line="up", grace=grace), self.listen, self._watchdog
        )

    def supervisor(self, *groups: list[ChildProcess]) -> Supervisor:
        return Supervisor(list(groups), self.listen, first_delay=0.01)

    async def until(self, condition: Callable[[], object]) -> None:
        await until_true(condition, lambda: f"it; printed {self.lines}")


@pytest_asyncio.fixture
async def harness() -> AsyncIterator[Harness]:
    watchdog = Watchdog()
    await watchdog.start()
    yield Harness(watchdog)
    await watchdog.close()


async def test_groups_come_up_in_order_and_go_down_in_reverse(harness: Harness) -> None:
    stop = asyncio.Event()
    first, second = harness.child("first", POLITE), harness.child("second", POLITE)

    await harness.supervisor([first], [second]).run(stop.set, stop)

    assert harness.lines == ["first: up", "second: up", "second: bye", "first: bye"]


async def test_a_child_process_that_is_killed_is_started_again_and_said_so(harness: Harness) -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    child = harness.child("worker", WAIT)
    running = asyncio.create_task(harness.supervisor([child]).run(ready.set, stop))
    await ready.wait()
    first = child.pid
    os.kill(first, signal.SIGKILL)
    await harness.until(lambda: "worker: is ready again" in harness.lines)

    assert child.pid != first
    assert "worker: was killed by SIGKILL: starting it again in 0.01 s" in harness.lines
    stop.set()
    await running


async def test_a_child_process_that_fails_to_come_back_is_tried_again_later(harness: Harness, tmp_path: Path) -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    child = harness.child("worker", FAILS_ONCE.format(path=str(tmp_path / "lives")))
    running = asyncio.create_task(harness.supervisor([child]).run(ready.set, stop))
    await ready.wait()
    os.kill(child.pid, signal.SIGKILL)
    await harness.until(lambda: "worker: is ready again" in harness.lines)

    assert "worker: worker ended with status 5" in harness.lines
    assert "worker: ended with status 5: starting it again in 0.02 s" in harness.lines
    stop.set()
    await running


async def test_a_child_process_that_cannot_start_leaves_nothing_running(harness: Harness) -> None:
    good, bad = harness.child("good", POLITE), harness.child("bad", "raise SystemExit('no')")

    with pytest.raises(SetupError, match=r"bad ended with status 1; its last lines:\n  \| no"):
        await harness.supervisor([good], [bad]).run(lambda: None, asyncio.Event())

    assert (good.pid, bad.pid) == (0, 0)
    assert harness.lines[-1] == "good: bye"


async def test_a_stop_during_the_start_ends_what_was_started(harness: Harness) -> None:
    stop = asyncio.Event()
    silent = harness.child("silent", "import signal; print('not yet', flush=True); signal.pause()")
    running = asyncio.create_task(harness.supervisor([silent]).run(lambda: None, stop))
    await harness.until(lambda: harness.lines)
    stop.set()
    await running
    assert silent.pid == 0


async def test_a_kill_does_not_wait_for_the_grace(harness: Harness) -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    supervisor = harness.supervisor([harness.child("deaf", DEAF, grace=50.0)])
    running = asyncio.create_task(supervisor.run(ready.set, stop))
    await ready.wait()
    stop.set()
    await asyncio.sleep(0)
    supervisor.kill()
    async with asyncio.timeout(PATIENCE):
        await running
