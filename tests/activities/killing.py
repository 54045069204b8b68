"""Workers as processes that may be killed."""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

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
