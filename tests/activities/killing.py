"""Workers as processes that may be killed."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from longrun.activities.worker import READY
from longrun.runtime.settings import Settings
from tests.harness import until
from tests.patience import PATIENCE
from tests.spawning import Child, shared


def _environ(settings: Settings, address: str, environ: Mapping[str, str]) -> dict[str, str]:
    ours = {
        "LONGRUN_HOME": str(settings.home),
        "LONGRUN_TASK_QUEUE": settings.task_queue,
        "LONGRUN_TOOLS": "tests.activities.waiting_tools",
        "TEMPORAL_ADDRESS": address,
    }
    return {**os.environ, **ours, **environ}


@asynccontextmanager
async def worker_process(settings: Settings, address: str, environ: Mapping[str, str]) -> AsyncGenerator[Child]:
    """A worker that is ready when the block begins and has ended when the block has."""
    settings.home.mkdir(parents=True, exist_ok=True)
    log = settings.home / f"worker-{len(list(settings.home.glob('worker-*.log'))) + 1}.log"
    log.touch()
    nursery = await shared.nursery()
    worker = await nursery.bring_up("worker", _environ(settings, address, environ), log)

    async def ready() -> bool:
        assert worker.alive, worker.said()
        return READY in worker.said()

    try:
        await until(ready, f"a worker that writes to {log}", PATIENCE)
        yield worker
    finally:
        await worker.kill()


@asynccontextmanager
async def worker_program(
    settings: Settings, address: str, environ: Mapping[str, str], folder: Path
) -> AsyncGenerator[None]:
    """A worker that is started as a program in a folder, and ready when the block begins."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "longrun.activities.worker"),
        env=_environ(settings, address, environ),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            assert await process.stdout.readline() == f"{READY}\n".encode()
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
