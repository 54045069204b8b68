"""The counting provider as a process that a test has."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx2

from tests.chaos.generating.job import Entry
from tests.chaos.provider import READY
from tests.harness import until
from tests.patience import PATIENCE

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class CountingProvider:
    """A provider that runs; ``url`` is what OpenAI's clients want as their base, with ``/v1``."""

    url: str
    process: asyncio.subprocess.Process
    _http: httpx2.AsyncClient

    async def bill(self, label: str | None = None) -> list[Entry]:
        """A line for each accepted call, or for those of one label."""
        answer = await self._http.get("/_bill", params={} if label is None else {"label": label})
        return cast("list[Entry]", answer.raise_for_status().json())

    async def billed(self, label: str, seen: Callable[[list[Entry]], bool]) -> list[Entry]:
        """Wait until the bill of a label is so."""

        async def look() -> list[Entry] | None:
            found = await self.bill(label)
            return found if seen(found) else None

        return await until(look, f"the bill of {label}")

    async def held(self, label: str) -> list[Entry]:
        """Wait until a call of this label stands at the place where it is held."""
        return await self.billed(label, lambda found: any(entry["held"] for entry in found))

    async def violations(self) -> list[dict[str, str]]:
        """The requests that broke a rule of their wire: ``label``, ``wire``, ``rule``."""
        answer = await self._http.get("/_violations")
        return cast("list[dict[str, str]]", answer.raise_for_status().json())

    async def control(self, **wish: Any) -> None:  # noqa: ANN401 - the fields of a Wish
        """Change how it behaves."""
        answer = await self._http.post("/_control", json=wish)
        assert answer.status_code == 200, answer.text

    async def hold(self, label: str, turn: int, token: int) -> None:
        """Stop the answers to this label before this token of this turn."""
        await self.control(hold_at={"label": label, "turn": turn, "token": token})

    async def move(self, label: str, turn: int, token: int) -> None:
        """Let the answers to this label go on to the next place."""
        await self.control(release=label, hold_at={"label": label, "turn": turn, "token": token})

    async def release(self, label: str) -> None:
        """Let the answers to this label go on."""
        await self.control(release=label)


@asynccontextmanager
async def providing(port: int = 0) -> AsyncGenerator[CountingProvider]:
    """A counting provider of its own, which is no more when the block has ended."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.provider", "--port", str(port)),
        env=os.environ,
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            assert process.stdout is not None
            line = (await process.stdout.readline()).decode().strip()
        assert line.startswith(READY), f"not ready, but {line!r}"
        base = line.removeprefix(READY)
        async with httpx2.AsyncClient(base_url=base, timeout=PATIENCE) as http:
            yield CountingProvider(f"{base}/v1", process, http)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
