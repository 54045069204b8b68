"""Viewers, who go away in the middle and come back, and note when they saw what."""

import asyncio
import random
from dataclasses import dataclass, field
from time import monotonic

import httpx2

from longrun.workflows.contract.events import TERMINAL
from tests.chaos.observations import Connection, End, Frame, View, Viewer

_PAUSE = 0.1
_LONGEST = 60


@dataclass
class Watching:
    """One viewer of a run. ``received`` says when it first saw each event, on this process's clock."""

    name: str
    http: httpx2.AsyncClient
    run_id: str
    view: View | None
    rng: random.Random
    connections: list[Connection] = field(default_factory=list[Connection])
    received: dict[int, float] = field(default_factory=dict[int, float])
    _kinds: set[str] = field(default_factory=set[str])

    async def watch(self) -> None:
        """Read to the end of the run, with as many connections as it takes."""
        while not self.over:
            frames: list[Frame] = []
            after, end = self._cursor, "closed"
            try:
                end = await self._connect(frames)
            except httpx2.TransportError:
                pass  # the other side is gone, and comes back
            finally:
                self.connections.append(Connection(after, self.view, tuple(frames), end))
            if end == "closed":
                await asyncio.sleep(_PAUSE)

    @property
    def over(self) -> bool:
        """Whether it has seen the end."""
        return bool(self.connections) and self.connections[-1].end == "ended"

    @property
    def seen(self) -> Viewer:
        """All that it got."""
        return Viewer(self.name, tuple(self.connections))

    def has(self, event: str) -> bool:
        """Whether it has seen an event of this type."""
        return event in self._kinds

    @property
    def _cursor(self) -> int:
        return max(self.received, default=0)

    async def _connect(self, frames: list[Frame]) -> End:
        most = self.rng.randint(1, _LONGEST) if self.rng.random() < 0.7 else None
        query = {"view": self.view} if self.view else {}
        headers = {"Last-Event-ID": str(self._cursor)} if self._cursor else {}
        url = f"/api/runs/{self.run_id}/stream"
        async with self.http.stream("GET", url, params=query, headers=headers) as response:
            if response.status_code == 204:
                return "ended"
            if response.status_code != 200:
                return "closed"
            async for sse in httpx2.EventSource(response):
                frames.append(Frame(int(sse.id), sse.event, sse.data.encode()))
                self.received.setdefault(frames[-1].id, monotonic())
                self._kinds.add(sse.event)
                if most is not None and len(frames) >= most and sse.event not in TERMINAL:
                    return "cut"
        return "ended"


def first_after(watchers: list[Watching], seq: int) -> float | None:
    """When somebody first saw an event after this one."""
    moments = [moment for watcher in watchers for number, moment in watcher.received.items() if number > seq]
    return min(moments, default=None)
