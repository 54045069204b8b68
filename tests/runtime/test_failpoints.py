"""A process that stops itself at a failpoint, and continues on SIGCONT."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.harness import until
from tests.processes import state

_CHILD = """
from longrun.runtime.failpoints import reached

for turn in range(3):
    reached("finishing")
    reached("finished")
    print(turn, flush=True)
"""


@asynccontextmanager
async def child(**environ: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A process that reaches two failpoints three times."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _CHILD), env={**os.environ, **environ}, stdout=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize(("at", "printed"), [("finished", b""), ("finished#3", b"0\n1\n")])
async def test_a_process_stops_once_at_the_failpoint_that_is_named(tmp_path: Path, at: str, printed: bytes) -> None:
    file = tmp_path / "stopped"
    async with child(LONGRUN_STOP_AT=at, LONGRUN_STOP_FILE=str(file)) as process:

        async def stopped() -> bool:
            return file.exists() and state(process.pid) == "T"

        await until(stopped, "the process to stop")
        assert file.read_text() == f"finished\t{process.pid}\n"
        process.send_signal(signal.SIGCONT)
        output, _ = await process.communicate()
        assert output == b"0\n1\n2\n"
        assert output.startswith(printed)
        assert len(file.read_text().splitlines()) == 1


@pytest.mark.parametrize("at", ["", "somewhere else"])
async def test_a_process_without_a_failpoint_of_its_own_does_not_stop(tmp_path: Path, at: str) -> None:
    async with child(LONGRUN_STOP_AT=at, LONGRUN_STOP_FILE=str(tmp_path / "stopped")) as process:
        output, _ = await process.communicate()
    assert output == b"0\n1\n2\n"


async def test_a_process_stops_again_if_its_line_is_taken_away(tmp_path: Path) -> None:
    file = tmp_path / "stopped"
    async with child(LONGRUN_STOP_AT="finished#2", LONGRUN_STOP_FILE=str(file)) as process:

        async def stopped() -> bool:
            return file.exists() and state(process.pid) == "T"

        for _ in range(2):
            await until(stopped, "the process to stop")
            file.unlink()
            process.send_signal(signal.SIGCONT)
        output, _ = await process.communicate()
        assert output == b"0\n1\n2\n"
        assert not file.exists()
