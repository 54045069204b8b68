"""A gateway that is killed while many read: each reader comes back and ends with the whole log."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from longrun.activities.providers.provider import ModelRequest
from longrun.client import AsyncClient, RetryPolicy
from tests.gateway_process import worked
from tests.harness import until
from tests.logcheck import check_log, parsed
from tests.patience import PATIENCE
from tests.provider_fake import Gate, Turn, reasoning, text, turn
from tests.running import Front

pytestmark = pytest.mark.server

RUNS = 4
READERS = 20
COUNTED = 2
"""The runs that end while nobody serves their readers; the others wait until the gateway is there again."""
RECONNECTS = RetryPolicy(initial_interval=0.05, maximum_interval=0.1, stream_attempts=200)


class Talkers:
    """A model that waits in the middle of its answers, at a gate for each run's words."""

    def __init__(self) -> None:
        self.gates = [Gate() for _ in range(RUNS)]

    def says(self, request: ModelRequest) -> Turn:
        """Thoughts and words, in many parts."""
        gate = self.gates[int(request.messages[-1].text)]
        parts = [part for n in range(20) for part in (reasoning(f"Think {n}. "), text(f"Say {n}. "))]
        return turn(*parts, text("Wait", gate, " for it."), *parts)


@dataclass
class Reader:
    """Reads a run, and comes back with the last seq that it has seen."""

    front: Front
    run_id: str
    seen: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    interruptions: int = 0

    async def by_client(self) -> None:
        """Read by our own client."""
        async with AsyncClient(self.front.base_url, retry=RECONNECTS, on_interruption=self._interrupted) as client:
            async for line in client.stream_lines(self.run_id):
                self.seen.append((line.seq, line.data))

    async def by_hand(self) -> None:
        """Read as anybody would who has only HTTP."""
        async with httpx2.AsyncClient(base_url=self.front.base_url, timeout=PATIENCE) as http:
            while True:
                try:
                    await self._read_on(http)
                except httpx2.TransportError as error:
                    self._interrupted(str(error))
                    await asyncio.sleep(RECONNECTS.initial_interval)
                else:
                    return

    async def _read_on(self, http: httpx2.AsyncClient) -> None:
        last = self.seen[-1][0] if self.seen else 0
        headers = {"Last-Event-ID": str(last)} if last else {}
        async with http.stream("GET", f"/api/runs/{self.run_id}/stream", headers=headers) as response:
            assert response.status_code == 200
            async for sse in httpx2.EventSource(response):
                self.seen.append((int(sse.id), sse.data))

    def _interrupted(self, _why: str) -> None:
        self.interruptions += 1


async def test_every_reader_of_a_killed_gateway_ends_with_the_whole_log(temporal: str, tmp_path: Path) -> None:
    talkers = Talkers()
    async with worked(temporal, tmp_path / "home", talkers.says) as (front, gateway):
        runs = [(await front.start({"model": "scripted/x"}, str(number)))["id"] for number in range(RUNS)]
        readers = [Reader(front, runs[number % RUNS]) for number in range(READERS)]
        ways = [reader.by_client if n < READERS // 2 else reader.by_hand for n, reader in enumerate(readers)]
        reading = [asyncio.create_task(way()) for way in ways]

        async def all_in_the_middle() -> bool:
            return all(reader.seen and "Wait" in reader.seen[-1][1] for reader in readers)

        async def all_interrupted() -> bool:
            return all(reader.interruptions for reader in readers)

        await until(all_in_the_middle, "all readers to read")
        await gateway.end()
        for gate in talkers.gates[:COUNTED]:
            gate.open()
        await until(all_interrupted, "all readers to notice")
        await gateway.start()
        for gate in talkers.gates[COUNTED:]:
            gate.open()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*reading)
        for reader in readers:
            whole = [(seq, data) for seq, _, data in await front.frames(reader.run_id)]
            check_log(parsed(data for _, data in whole))
            assert reader.seen == whole
