"""A browser's own EventSource, whose connection breaks after any event, sees each event once and in order."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Page

from longrun.activities.providers.provider import ModelRequest
from tests.e2e.browser import browser_page
from tests.e2e.cutting_proxy import CuttingProxy, cutting_proxy
from tests.gateway_process import worked
from tests.harness import until
from tests.provider_fake import Gate, Turn, reasoning, text, turn
from tests.running import Front

pytestmark = pytest.mark.server

READ_ALL = """
([path, types, cuts, toTheEnd]) => Promise.all(cuts.map(cut => new Promise(done => {
    const seen = [];
    const source = new EventSource(`/cut/${cut}${path}`);
    const finish = () => { source.close(); done(JSON.stringify(seen)); };
    const keep = event => {
        seen.push([Number(event.lastEventId), event.type, event.data]);
        if (seen.length === cut) window.saw(cut);
        if (event.type === "run.completed" && !toTheEnd) finish();
    };
    types.forEach(type => source.addEventListener(type, keep));
    source.onmessage = keep;
    source.onerror = () => source.readyState === EventSource.CLOSED && finish();
})))
"""
"""Reads with one EventSource for each cut; ``toTheEnd``: until the server's 204 says that there is nothing more."""
Frames = list[tuple[int, str, str]]
MOST_AT_ONCE = 5
"""A browser has six connections to one server."""


class Talker:
    """A model of many short parts; it waits in the middle of each answer until its gate is opened."""

    def __init__(self) -> None:
        self.middle = Gate()

    def says(self, _request: ModelRequest) -> Turn:
        """Thoughts and words in turn."""
        parts = [part for n in range(50) for part in (reasoning(f"Think {n}. "), text(f"Say\n{n}. "))]
        return turn(*parts[:60], text("Wait", self.middle, " for it."), *parts[60:])


@pytest.fixture(scope="module")
def talker() -> Talker:
    return Talker()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def front(temporal: str, talker: Talker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with worked(temporal, tmp_path_factory.mktemp("browser"), talker.says) as (front, _):
        yield front


@dataclass(frozen=True)
class Sources:
    """EventSources of one page on one run."""

    page: Page
    proxy: CuttingProxy
    run_id: str

    async def read(self, cuts: Sequence[int], *, to_the_end: bool) -> list[Frames]:
        """What the sources saw, each cut after another event."""
        kinds = {"run.accepted", "step.started", "message.completed", "turn.ended", "run.completed"}
        kinds |= {f"{part}.{what}" for part in ("text", "reasoning") for what in ("delta", "completed")}
        arguments = [f"/api/runs/{self.run_id}/stream", sorted(kinds), list(cuts), to_the_end]
        seen = await self.page.evaluate(READ_ALL, arguments)
        return [[(seq, kind, data) for seq, kind, data in json.loads(frames)] for frames in seen]


@asynccontextmanager
async def sources(front: Front, run_id: str) -> AsyncGenerator[Sources]:
    async with cutting_proxy(front.settings.port) as proxy, browser_page() as page:
        await page.expose_function("saw", proxy.saw)  # pyright: ignore[reportUnknownMemberType] # untyped upstream
        await page.goto(f"{proxy.url}/page")
        yield Sources(page, proxy, run_id)


async def test_an_event_source_cut_anywhere_sees_each_event_once(front: Front, talker: Talker) -> None:
    """First some that are cut and come back while the run goes on; then, of the finished run, one for each event."""
    run_id = (await front.start({"model": "scripted/x"}))["id"]
    some = range(1, 100, 100 // MOST_AT_ONCE)
    async with sources(front, run_id) as opened:
        back = opened.proxy.returned
        reading = asyncio.create_task(opened.read(some, to_the_end=True))

        async def all_back() -> bool:
            assert not reading.done(), await reading
            return len(back) == len(some)

        await until(all_back, "the browser to come back")
        assert sorted(back) == [(cut, cut) for cut in some]
        assert (await front.run(run_id))["status"] == "running"
        talker.middle.open()
        whole = await front.frames(run_id)
        last = len(whole)
        assert last >= 200
        each = range(1, last)
        finished = await opened.read(each, to_the_end=False)
        live = await reading
    assert all(seen == whole for seen in finished + live)
    assert sorted(back[len(some) :]) == sorted([(cut, cut) for cut in each] + [(cut, last) for cut in some])
