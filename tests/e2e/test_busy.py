"""A machine with other work is not a dead worker: beside busy loops on all of its cores no model is asked again."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest

from tests.running import Front, running

pytestmark = pytest.mark.server

SECONDS = 60 if os.environ.get("LONGRUN_TEST_LONG") else 10
RUNS = 20
TALKS = f"""
turns:
  - - {{tokens_per_second: 10}}
    - text: "{"word " * 10 * SECONDS}"
"""


@asynccontextmanager
async def busy_loops() -> AsyncGenerator[None]:
    """As many processes as there are cores that do nothing but that."""
    loops = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
        for _ in range(os.cpu_count() or 2)
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            await loop.wait()


async def ended(front: Front, number: int) -> list[dict[str, object]]:
    """The attempts of a run that has talked to its end."""
    run = await front.start({"model": "scripted/talks"}, str(number))
    began = monotonic()
    frames = await front.frames(run["id"])
    assert frames[-1][1] == "run.completed"
    assert monotonic() - began > SECONDS / 2, "it was not streamed as slowly as it should have been"
    return (await front.run(run["id"]))["attempts"]


async def test_no_model_is_asked_again_because_the_machine_is_busy(temporal: str, tmp_path: Path) -> None:
    async with running(temporal, tmp_path, scripts={"talks": TALKS}) as front, busy_loops():
        attempts = await asyncio.gather(*(ended(front, number) for number in range(RUNS)))
    assert [[attempt["outcome"] for attempt in each] for each in attempts] == [["completed"]] * RUNS
