"""A new version goes out while people work: workers and gateways are restarted one by one, and nobody is told off."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from longrun.client import AsyncClient, Line, RetryPolicy
from longrun.runtime.ids import new_id
from longrun.runtime.settings import Settings
from tests.activities.killing import worker_process
from tests.chaos.generating.plan import plan_text
from tests.chaos.providing import CountingProvider, providing
from tests.dev_server import take_port
from tests.e2e.balancer import balanced
from tests.e2e.recovering import PLAIN, RESUMABLE, spoken
from tests.gateway_process import GatewayProcess
from tests.logcheck import check_log, check_settled, parsed

pytestmark = pytest.mark.server

SECONDS, _PAUSE = (60, 3.0) if os.environ.get("LONGRUN_TEST_LONG") else (5, 0.5)
PER_SECOND = 10
MOST = 30
"""How many customers wait for their answers at once."""
ROUND = 2
"""Each of the two has been restarted once at least."""
TOKENS = 40
PATIENCE = RetryPolicy(attempts=200, stream_attempts=200, initial_interval=0.05, maximum_interval=0.2)


@dataclass
class Customer:
    """Starts a run and reads it to its end; whatever else than an interruption happens is an error."""

    url: str
    label: str
    model: str
    interruptions: int = 0
    lines: list[Line] = field(default_factory=list[Line])

    async def visit(self) -> None:
        """Come, ask, listen."""
        async with AsyncClient(self.url, retry=PATIENCE, on_interruption=self._interrupted) as client:
            prompt = plan_text(self.label, {"text": TOKENS}, rate=60)
            run = await client.start_run({"model": self.model}, prompt)
            self.lines = [line async for line in client.stream_lines(run.id)]

    def _interrupted(self, _why: str) -> None:
        self.interruptions += 1


@dataclass
class Fleet:
    """Two workers and two gateways over one folder, behind one address."""

    settings: Settings
    temporal: str
    provider: CountingProvider
    gateways: list[GatewayProcess]
    worker_restarts: int = 0
    gateway_restarts: int = 0

    @asynccontextmanager
    async def workers(self) -> AsyncGenerator[None]:
        """Two workers, one of which is replaced by a new one again and again."""
        ours = {
            "OPENAI_BASE_URL": self.provider.url,
            "OPENAI_API_KEY": "sk",
            "LONGRUN_OPENAI_BACKGROUND": "true",
        }
        stopping = asyncio.Event()

        async def roll() -> None:
            async with AsyncExitStack() as crew:
                start = lambda: crew.enter_async_context(worker_process(self.settings, self.temporal, ours))  # noqa: E731
                serving = [await start(), await start()]
                ready.set()
                while not stopping.is_set():
                    serving.append(await start())
                    old = serving.pop(0)
                    old.signal(signal.SIGTERM)
                    assert await old.ended() == 0, old.said()
                    self.worker_restarts += 1
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_PAUSE):
                            await stopping.wait()

        ready = asyncio.Event()
        rolling = asyncio.create_task(roll())
        await asyncio.wait([rolling, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
        try:
            yield
        finally:
            stopping.set()
            await rolling

    async def roll_gateways(self) -> None:
        """Restart one gateway after the other until cancelled."""
        while True:
            for gateway in self.gateways:
                assert await gateway.end(signal.SIGTERM) in (0, -signal.SIGTERM)
                await gateway.start()
                self.gateway_restarts += 1
                await asyncio.sleep(_PAUSE)


@asynccontextmanager
async def fleet(temporal: str, home: Path) -> AsyncGenerator[tuple[Fleet, str]]:
    """A fleet and its address."""
    queue = f"longrun-{new_id()}"
    settings = [Settings(home=home, port=take_port(), task_queue=queue) for _ in range(2)]
    gateways = [GatewayProcess(each, temporal) for each in settings]
    async with providing() as provider, balanced(*(each.port for each in settings)) as url:
        try:
            for gateway in gateways:
                await gateway.start()
            yield Fleet(settings[0], temporal, provider, gateways), url
        finally:
            for gateway in gateways:
                if gateway.process:
                    await gateway.end()


async def test_a_rolling_restart_under_load_is_no_error_to_anybody(temporal: str, tmp_path: Path) -> None:
    async with fleet(temporal, tmp_path / "home") as (there, url):
        customers: list[Customer] = []
        visits: list[asyncio.Task[None]] = []
        async with there.workers():
            rolling = asyncio.create_task(there.roll_gateways())
            while len(customers) < SECONDS * PER_SECOND or min(there.worker_restarts, there.gateway_restarts) < ROUND:
                number = len(customers)
                customers.append(Customer(url, f"customer {number}", RESUMABLE if number % 2 else PLAIN))
                visits.append(asyncio.create_task(customers[-1].visit()))
                await asyncio.sleep(1 / PER_SECOND)
                if len(open_visits := [visit for visit in visits if not visit.done()]) >= MOST:
                    await asyncio.wait(open_visits, return_when=asyncio.FIRST_COMPLETED)
                assert not rolling.done(), rolling.exception()
            await asyncio.gather(*visits)
            rolling.cancel()
            await asyncio.gather(rolling, return_exceptions=True)
        for customer in customers:
            events = parsed(line.data for line in customer.lines)
            (check_log if events[0].seq == 1 and _dense(customer) else check_settled)(events)
            assert customer.lines[-1].type == "run.completed"
            assert f'"output":"{spoken(TOKENS)}"' in customer.lines[-1].data
        bill = await there.provider.bill()
        resumable = [entry for entry in bill if entry["background"]]
        assert len(resumable) == len({entry["label"] for entry in resumable}) == len(customers) // 2
        interrupted = sum(customer.interruptions for customer in customers)
        print(  # noqa: T201
            f"{len(customers)} runs at {PER_SECOND}/s, {there.worker_restarts} restarts of workers and"
            f" {there.gateway_restarts} of gateways: {interrupted} reconnects, no errors;"
            f" {len(bill) - len(resumable)} calls for {len(customers) - len(resumable)} runs that cannot be taken up"
        )


def _dense(customer: Customer) -> bool:
    return [line.seq for line in customer.lines] == list(range(1, len(customer.lines) + 1))
