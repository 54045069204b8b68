"""A system of processes over a counting provider: workers are killed or shut down while calls stand at known tokens."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from longrun.gateway.history.rebuilder import Rebuilder
from longrun.runtime.ids import new_id
from longrun.runtime.settings import Settings
from longrun.workflows.contract.events import Event
from tests.activities.killing import worker_process
from tests.build import Stores
from tests.chaos.generating.job import Entry
from tests.chaos.generating.plan import plan_text
from tests.chaos.providing import CountingProvider, providing
from tests.harness import until
from tests.logcheck import check_log, check_settled, parsed
from tests.running import Front, serving
from tests.spawning import Child

RESUMABLE = "openai/gpt-test"
"""Its answers can be taken up again."""
PLAIN = "openai-chat/gpt-test"
"""Its answers are lost with the connection."""


def spoken(tokens: int) -> str:
    """What a model says whose plan is so many tokens of text."""
    return "".join(f"t0w{number} " for number in range(tokens))


@dataclass(frozen=True)
class Recovered:
    """A run that has ended, as everybody sees it."""

    run: dict[str, Any]
    raw: list[Event]
    settled: list[Event]
    bill: list[Entry]

    @property
    def kinds(self) -> list[str]:
        """The types of its events."""
        return [event.type for event in self.raw]

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """Its attempts, as the API shows them."""
        return self.run["attempts"]


@dataclass(frozen=True)
class Ward:
    """A gateway and a provider; workers come and go."""

    temporal: str
    front: Front
    provider: CountingProvider
    stores: Stores
    rebuilder: Rebuilder
    runs: dict[str, str] = field(default_factory=dict[str, str])
    readers: dict[str, "asyncio.Task[list[Event]]"] = field(default_factory=dict[str, "asyncio.Task[list[Event]]"])

    @asynccontextmanager
    async def worker(self, **environ: str) -> AsyncGenerator[Child]:
        """A worker that is ready."""
        ours = {"OPENAI_BASE_URL": self.provider.url, "OPENAI_API_KEY": "sk", "LONGRUN_OPENAI_BACKGROUND": "true"}
        async with worker_process(self.front.settings, self.temporal, ours | environ) as worker:
            yield worker

    async def start(self, label: str, model: str, tokens: int, *, hold: int | None = None, rate: float = 0) -> None:
        """Start a run whose model says so many tokens, and stops before token ``hold`` of them."""
        if hold is not None:
            await self.provider.hold(label, 0, hold)
        prompt = plan_text(label, {"text": tokens}, rate=rate)
        self.runs[label] = (await self.front.start({"model": model}, prompt))["id"]
        self.readers[label] = asyncio.create_task(self._read(label))

    async def _read(self, label: str) -> list[Event]:
        return parsed(data for _, _, data in await self.front.frames(self.runs[label], "?view=raw"))

    async def said(self, label: str, text: str) -> None:
        """Wait until a run's log says this."""

        async def look() -> bool:
            return text.encode() in b"".join(await self.stores.lines(self.runs[label]))

        await until(look, f"{text!r} of {label}")

    async def head(self, label: str) -> int:
        """The last seq of a run."""
        return await self.stores.log.head(self.runs[label]) or 0

    async def goes_on(self, label: str, after: int, since: float) -> float:
        """Wait until a run's log has grown; the seconds since a moment."""

        async def look() -> bool:
            return await self.head(label) > after

        await until(look, f"{label} to go on")
        return monotonic() - since

    async def ended(self, label: str) -> Recovered:
        """Wait for the end of a run; its log must be right from whatever side one looks at it."""
        run = await self.front.ended(self.runs[label])
        raw = await self.readers[label]
        settled = parsed(data for _, _, data in await self.front.frames(self.runs[label], "?view=settled"))
        rebuilt = await self.rebuilder.rebuild(self.runs[label])
        assert rebuilt is not None
        check_log(raw)
        check_settled(settled)
        assert parsed(rebuilt.lines[seq] for seq in sorted(rebuilt.lines)) == settled
        return Recovered(run, raw, settled, await self.provider.bill(label))


@asynccontextmanager
async def ward(temporal: str, folder: Path) -> AsyncGenerator[Ward]:
    """A system over a folder, without a worker."""
    settings = Settings(home=folder, task_queue=f"longrun-{new_id()}")
    async with providing() as provider, serving(settings, temporal) as front:
        stores = Stores.over(settings.database)
        client = await Client.connect(temporal, data_converter=pydantic_data_converter)
        made = Ward(temporal, front, provider, stores, Rebuilder(client, stores.database, stores.runs, stores.log))
        try:
            yield made
        finally:
            for reader in made.readers.values():
                reader.cancel()
            await asyncio.gather(*made.readers.values(), return_exceptions=True)
            await stores.database.aclose()
