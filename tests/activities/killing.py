"""Workers as processes that may be killed."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from longrun.activities.worker import READY
from longrun.runtime.settings import Settings
from tests.harness import until

_ROOT = Path(__file__).parents[2]
_BOOT = 40.0


@dataclass(frozen=True)
class WorkerProcess:
    """A worker of its own process, and the file that it writes its words to."""

    process: asyncio.subprocess.Process
    log: Path

    def said(self) -> str:
        """What it has written so far."""
        return self.log.read_text()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; its exit status."""
        async with asyncio.timeout(20):
            return await self.process.wait()


@asynccontextmanager
async def worker_process(
    settings: Settings, address: str, environ: Mapping[str, str], folder: Path = _ROOT
) -> AsyncGenerator[WorkerProcess]:
    """A worker, started in a folder, that is ready when the block begins and is no more when it has ended."""
    settings.home.mkdir(parents=True, exist_ok=True)
    log = settings.home / f"worker-{len(list(settings.home.glob('worker-*.log'))) + 1}.log"
    ours = {
        "LONGRUN_HOME": str(settings.home),
        "LONGRUN_TASK_QUEUE": settings.task_queue,
        "LONGRUN_TOOLS": "tests.activities.waiting_tools",
        "TEMPORAL_ADDRESS": address,
    }
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "longrun.activities.worker"),
            env={**os.environ, **ours, **environ},
            cwd=folder,
            stdout=output,
            stderr=output,
        )
    worker = WorkerProcess(process, log)

    async def ready() -> bool:
        assert process.returncode is None, worker.said()
        return READY in worker.said()

    try:
        await until(ready, f"a worker that writes to {log}", _BOOT)
        yield worker
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
