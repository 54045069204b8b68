"""The processes that are measured, on free ports over a home of their own: started, metered and ended."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import IO, Any

from longrun.dev.plan import WORKER_READY, answers
from longrun.dev.ports import Wanted, choose_ports
from longrun.dev.temporal.config import TemporalConfig, config_file, read_config
from longrun.dev.temporal.find import TemporalFinder
from longrun.dev.temporal.server import connect_when_up, ensure_retention, ensure_search_attributes
from tests.bench import bare, load, tools

ROOT = Path(__file__).parents[2]
_PATIENCE = 60
_GRACE = 10
_TICKS = os.sysconf("SC_CLK_TCK")
_LINE = 2**26

Ready = Callable[[], Awaitable[bool]]


class BenchError(Exception):
    """The bench cannot go on; the message has the end of the log that says why."""


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mb(pid: int) -> float:
    """Megabytes of memory that a process has now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_000_000


class Part:
    """A running process.

    Args:
        name: What it is called in results.
        process: The process.
        log: Where its output goes.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    @property
    def cpu(self) -> float:
        """Seconds of CPU so far."""
        self.check()
        return cpu_seconds(self._process.pid)

    @property
    def memory(self) -> float:
        """Megabytes of memory now."""
        self.check()
        return resident_mb(self._process.pid)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    async def kill(self) -> None:
        """End it as a crash does."""
        self._process.kill()
        await self._process.wait()

    def check(self) -> None:
        """Fail if the process has ended.

        Raises:
            BenchError: It has.
        """
        if self._process.returncode is not None:
            raise BenchError(f"{self.name} ended with {self._process.returncode}:\n{self.said()[-3000:]}")

    def said(self) -> str:
        """What it has written."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    async def until(self, ready: Ready) -> None:
        """Wait until a condition holds.

        Raises:
            BenchError: The process has ended, or it takes too long.
        """
        deadline = time.monotonic() + _PATIENCE
        while not await ready():
            self.check()
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name} is not ready after {_PATIENCE} s:\n{self.said()[-3000:]}")
            await asyncio.sleep(0.05)

    async def until_said(self, text: str) -> None:
        """Wait for a text in its output."""

        async def written() -> bool:
            return text in self.said()

        await self.until(written)

    async def ask(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Give a job to a process that takes jobs, and wait for the result."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(job).encode() + b"\n")
        line = await stdout.readline()
        if not line:
            raise BenchError(f"{self.name} ended in {job}:\n{self.said()[-3000:]}")
        result: dict[str, Any] = json.loads(line)
        if "error" in result:
            raise BenchError(f"{job}: {result['error']}")
        return result

    async def stop(self) -> None:
        """End the process."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(_GRACE):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


class System:
    """Everything that runs.

    Args:
        home: The data folder, and where the logs go.
        stack: Ends what was started.
    """

    def __init__(self, home: Path, stack: AsyncExitStack) -> None:
        self.home = home
        self._stack = stack
        self._watchdog: asyncio.subprocess.Process | None = None
        self._commands: dict[str, tuple[list[str], Mapping[str, str]]] = {}
        self.parts: dict[str, Part] = {}
        self.ready: dict[str, Callable[[Part], Awaitable[None]]] = {}

    async def replace(self, name: str) -> None:
        """Kill a process, and start it again until it is ready."""
        await self.parts[name].kill()
        await self.ready[name](await self.start(name, *self.command(name)))

    def command(self, name: str) -> tuple[list[str], Mapping[str, str]]:
        """How a process was started: its command and its environment."""
        return self._commands[name]

    async def restart(self) -> None:
        """Kill Temporal, the gateway and the worker, and start them again, each once the one before is ready."""
        for name in ("worker", "gateway", "temporal"):
            await self.parts[name].kill()
        for name in ("temporal", "gateway", "worker"):
            await self.ready[name](await self.start(name, *self.command(name)))

    async def once(self, command: list[str]) -> None:
        """Run a command to its end."""
        nowhere = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=nowhere, stderr=nowhere)
        await process.wait()

    def meter(self) -> dict[str, float]:
        """The CPU seconds of each process so far."""
        return {name: part.cpu for name, part in self.parts.items()}

    async def load(self, kind: str, **details: object) -> dict[str, Any]:
        """Have a client do something."""
        return await self.parts["client"].ask({"kind": kind, **details})

    async def start(
        self, name: str, command: list[str], environ: Mapping[str, str], *, takes_jobs: bool = False
    ) -> Part:
        """Start a process; one that takes jobs keeps its output to itself."""
        self._commands[name] = (command, environ)
        log = self.home / f"{name}.log"
        file: IO[bytes] = await asyncio.to_thread(log.open, "wb")
        with file:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self.home,
                env=environ,
                stdin=asyncio.subprocess.PIPE if takes_jobs else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if takes_jobs else file,
                stderr=file,
                limit=_LINE,
                start_new_session=True,  # Ctrl-C is for the bench, which then ends its parts in order
            )
        part = self.parts[name] = Part(name, process, log)
        self._stack.push_async_callback(part.stop)
        if self._watchdog and self._watchdog.stdin:
            self._watchdog.stdin.write(b"+%d\n" % process.pid)
        if takes_jobs and process.stdout is not None:
            await process.stdout.readline()
        return part

    async def guard(self) -> None:
        """See to it that nothing is left when the bench itself is killed."""
        watchdog = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "longrun.dev.watchdog"),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._watchdog = watchdog
        self._stack.push_async_callback(self._dismiss, watchdog)

    @staticmethod
    async def _dismiss(watchdog: asyncio.subprocess.Process) -> None:
        watchdog.kill()
        await watchdog.wait()


def environment(inherited: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """What the processes get: nothing of another server or a real provider."""
    foreign = ("LONGRUN_", "TEMPORAL_", "OPENAI_", "ANTHROPIC_")
    kept = {name: value for name, value in inherited.items() if not name.startswith(foreign)}
    # Without compiled modules the workflow sandbox would compile anew for each run.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "TEMPORAL_CONFIG_FILE": os.devnull, **given}


@asynccontextmanager
async def running(home: Path) -> AsyncGenerator[System]:
    """Start all; end all afterwards, in the reverse order."""
    found = await TemporalFinder(environment(os.environ, {}), _say).find()
    wanted = [Wanted("127.0.0.1", 0, name, "") for name in ("the gateway", "the provider", "Temporal")]
    port, provider_port, temporal_port = choose_ports(wanted)
    config = read_config(config_file(ROOT)).model_copy(update={"port": temporal_port})
    environ = environment(
        os.environ,
        {
            "LONGRUN_HOME": str(home),
            "LONGRUN_PORT": str(port),
            "LONGRUN_TOOLS": tools.__name__,
            "TEMPORAL_ADDRESS": config.address,
            "OPENAI_API_KEY": "bench",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{provider_port}/v1",
        },
    )
    python = [sys.executable, "-m"]
    async with AsyncExitStack() as stack:
        system = System(home, stack)
        await system.guard()
        await _start_temporal(system, config, found.binary, environ)
        provider = await system.start("provider", [*python, "tests.bench.provider", str(provider_port)], environ)
        gateway = await system.start("gateway", [*python, "longrun.cli.main", "gateway"], environ)
        system.ready["gateway"] = lambda part: part.until(answers(f"http://127.0.0.1:{port}/api/ready"))
        await system.ready["gateway"](gateway)
        worker = await system.start("worker", [*python, "longrun.activities.worker"], environ)
        system.ready["worker"] = lambda part: part.until_said(WORKER_READY)
        opponent = await system.start("bare worker", [*python, bare.__name__, config.address], environ)
        await provider.until_said("provider ready")
        await system.ready["worker"](worker)
        await opponent.until_said(bare.READY)
        await system.start("client", [*python, load.__name__, str(port), config.address], environ, takes_jobs=True)
        yield system


async def _start_temporal(system: System, config: TemporalConfig, binary: Path, environ: Mapping[str, str]) -> None:
    server = await system.start("temporal", config.command(binary, system.home, headless=True), environ)

    async def prepared() -> bool:
        client = await connect_when_up({"target_host": config.address})
        if client is None:
            return False
        await ensure_retention(client, config.retention)
        await ensure_search_attributes(client, config.search_attributes)
        return True

    system.ready["temporal"] = lambda part: part.until(prepared)
    await system.ready["temporal"](server)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
