"""One run with all who have to do with it, and what was observed of it in the end."""

import asyncio
import json
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from tests.chaos.driving.kinds import Part
from tests.chaos.driving.people import Reviewing, cancel, start
from tests.chaos.driving.stack import Stack
from tests.chaos.driving.viewing import Watching
from tests.chaos.effect_tools import effects
from tests.chaos.observations import Bill, CancelSent, RunObserved, View
from tests.harness import until

_VIEWS: tuple[View | None, ...] = ("raw", "settled", None)
_AFTER_END = 20.0
_PAGE = 5000


@dataclass
class Playing:
    """A run from its start to its end."""

    stack: Stack
    part: Part
    rng: random.Random
    may_review: asyncio.Event
    run_id: str = ""
    watchers: list[Watching] = field(default_factory=list[Watching])
    reviewing: Reviewing | None = None
    cancels: list[CancelSent] = field(default_factory=list[CancelSent])

    @property
    def over(self) -> bool:
        """Whether all its viewers have seen its end."""
        return bool(self.watchers) and all(watcher.over for watcher in self.watchers)

    async def live(self) -> None:
        """Start the run and stay until all viewers have seen its end."""
        http = self.stack.http
        self.run_id = await start(http, self.part)
        views: list[View | None] = ["raw", self.rng.choice(_VIEWS)]
        self.watchers = [
            Watching(f"viewer {number}", http, self.run_id, view, self.rng) for number, view in enumerate(views)
        ]
        others: list[asyncio.Task[Any]] = []
        if self.part.waits:
            self.reviewing = Reviewing(http, self.run_id, self.rng, self.may_review)
            others.append(asyncio.create_task(self.reviewing.review()))
        if self.part.cancel_after:
            others.append(asyncio.create_task(self._cancel(*self.part.cancel_after)))
        try:
            await asyncio.gather(*(watcher.watch() for watcher in self.watchers))
        finally:
            await _end(others)

    async def _cancel(self, count: int, event: str) -> None:
        async def far_enough() -> bool:
            return len(self.watchers[0].received) >= count and self.watchers[0].has(event)

        await until(far_enough, f"{count} events of {self.run_id}, and a {event}", 60)
        await cancel(self.stack.http, self.run_id, self.cancels)

    async def closed(self) -> bool:
        """Wait until the run's workflow is over; whether it is."""
        handle = self.stack.client.get_workflow_handle(self.run_id)

        async def look() -> bool:
            with suppress(RPCError):
                return (await handle.describe()).status != WorkflowExecutionStatus.RUNNING
            return False

        try:
            return await until(look, "a workflow's end", _AFTER_END)
        except AssertionError:
            return False

    async def rests(self) -> bool:
        """Whether Temporal waits for no worker in this run."""
        found = (await self.stack.client.get_workflow_handle(self.run_id).describe()).raw_description
        return not found.pending_activities and not found.HasField("pending_workflow_task")

    async def observed(self) -> RunObserved:
        """All that there is to see of the run when it is over."""
        stack, run_id = self.stack, self.run_id
        rebuilt = await stack.rebuilder.rebuild(run_id)
        bills = await self._bills()
        shown = (await stack.http.get(f"/api/runs/{run_id}")).raise_for_status().json()
        raw, settled = await _pages(stack.http, run_id, "raw"), await _pages(stack.http, run_id, "settled")
        return RunObserved(
            self.part.request(run_id),
            viewers=tuple(watcher.seen for watcher in self.watchers),
            raw=raw,
            settled=settled,
            stored=tuple(await stack.stores.lines(run_id)),
            rebuilt=tuple(rebuilt.lines[seq] for seq in sorted(rebuilt.lines)) if rebuilt else (),
            run=shown,
            bills=bills,
            effects=tuple(effects(stack.settings.workspace_folder, run_id)),
            decisions=tuple(self.reviewing.sent) if self.reviewing else (),
            cancels=tuple(self.cancels),
        )

    async def _bills(self) -> tuple[Bill, ...]:
        """The provider's lines, when it generates no more, or when it should long have stopped."""
        entries: list[Any] = []

        async def settled() -> bool:
            entries[:] = await self.stack.provider.bill(self.part.label)
            return all(entry["status"] != "running" for entry in entries)

        with suppress(AssertionError):
            await until(settled, "the end of all answers", 5)
        return tuple(Bill.model_validate({name: entry[name] for name in Bill.model_fields}) for entry in entries)


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _pages(http: httpx2.AsyncClient, run_id: str, view: View) -> tuple[bytes, ...]:
    """The log's lines as the pages have them, byte for byte."""
    lines: list[bytes] = []
    after, done = 0, False
    while not done:
        query = {"view": view, "limit": _PAGE, "starting_after": after}
        page = (await http.get(f"/api/runs/{run_id}/events", params=query)).raise_for_status().text
        found = list(_events(page))
        lines += found
        body = json.loads(page)
        done, after = body["done"] or not found, body["next"]
    return tuple(lines)


def _events(page: str) -> list[bytes]:
    """The events of a page as they are written there."""
    decoder, found = json.JSONDecoder(), list[bytes]()
    at = page.index("[") + 1
    while page[at] != "]":
        at += page[at] == ","
        _, end = decoder.raw_decode(page, at)
        found.append(page[at:end].encode())
        at = end
    return found
