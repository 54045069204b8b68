"""News of logs that grow: nobody misses any, whatever becomes of the pokes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio

from longrun.gateway.streaming import hub as hubs
from longrun.gateway.streaming.hub import Hub
from longrun.gateway.streaming.tail import Chunk, Tail
from longrun.runtime.settings import Settings
from longrun.store.db.schema import migrate
from longrun.workflows.contract.requests import ModelCall
from tests.build import Stores, finish, says
from tests.gateway.service_harness import serving
from tests.logcheck import check_log, parsed
from tests.patience import PATIENCE


@pytest_asyncio.fixture(loop_scope="session")
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    """A store that pokes nobody."""
    settings = Settings(home=tmp_path)
    migrate(settings.database)
    stores = Stores.over(settings.database)
    yield stores
    await stores.database.aclose()


async def run(stores: Stores) -> str:
    return (await stores.accept()).run_id


async def end(stores: Stores, run_id: str) -> None:
    await stores.ask(ModelCall(run_id=run_id, step=1), says("Good bye, and thank you for all the fish."))
    await stores.runs.finish(finish(run_id), (await stores.accept()).accepted_at)


async def repaired(run_id: str, before: int) -> bool:
    raise AssertionError(f"nothing is missing of run {run_id} before {before}")


async def test_a_run_whose_pokes_are_lost_is_found_while_others_are_busy(stores: Stores) -> None:
    hub = Hub(stores.log)
    quiet, busy = await run(stores), await run(stores)

    async def notify() -> None:
        while True:
            hub.notify([busy])
            await asyncio.sleep(hubs.POLL / 20)

    async with serving(hub.serve()):
        poking = asyncio.create_task(notify())
        with hub.subscribe(busy, 1), hub.subscribe(quiet, 1) as news:
            await asyncio.sleep(0)
            await stores.begin(ModelCall(run_id=quiet, step=1))
            async with asyncio.timeout(PATIENCE):
                taken = await news.take()
        poking.cancel()
    assert [(segment.run_id, segment.first) for segment in taken] == [(quiet, 2)]


async def test_viewers_wait_while_the_store_is_away(stores: Stores, caplog: pytest.LogCaptureFixture) -> None:
    hub = Hub(stores.log)
    run_id = await run(stores)
    async with serving(hub.serve()), asyncio.timeout(PATIENCE):
        with hub.subscribe(run_id, 1) as news:
            await stores.database.write(lambda tx: tx.exec_driver_sql("ALTER TABLE segments RENAME TO away"))
            while "viewers wait" not in caplog.text:  # noqa: ASYNC110 - the hub's own pace
                await asyncio.sleep(0.01)
            await stores.database.write(lambda tx: tx.exec_driver_sql("ALTER TABLE away RENAME TO segments"))
            await stores.begin(ModelCall(run_id=run_id, step=1))
            (segment,) = await news.take()
    assert (segment.first, segment.last) == (2, 2)


async def test_a_reader_that_does_not_keep_up_is_sent_back_to_the_store(stores: Stores) -> None:
    hub = Hub(stores.log)
    run_id = await run(stores)
    tail = Tail(stores.log, hub, repaired)
    async with serving(hub.serve()), asyncio.timeout(PATIENCE), aclosing(tail.follow(run_id, 0, "raw")) as batches:
        seen: list[Chunk] = [*await anext(batches)]
        following = asyncio.ensure_future(anext(batches))
        attempt = await stores.begin(ModelCall(run_id=run_id, step=1))
        seen += await following
        with hub.subscribe(run_id, 0) as other:
            await stores.babble(ModelCall(run_id=run_id, step=1), attempt, ["ha "] * (hubs.LONGEST_QUEUE + 50))
            hub.notify([run_id])
            while not other.lagging:  # noqa: ASYNC110 - the hub's own pace
                await asyncio.sleep(0.01)
        await end(stores, run_id)
        seen += [chunk async for chunks in batches for chunk in chunks]
    check_log(parsed(line for chunk in seen for line in chunk.lines))


async def test_a_viewer_before_a_gap_looks_again_when_anything_is_committed(stores: Stores) -> None:
    hub = Hub(stores.log)
    run_id = await run(stores)
    async with serving(hub.serve()), asyncio.timeout(10):
        with hub.subscribe(run_id, 1) as news:
            waiting = asyncio.create_task(news.take())
            hub.notify([run_id])
            assert await waiting == []


async def test_a_viewer_can_wait_for_so_long_only(stores: Stores) -> None:
    with Hub(stores.log).subscribe(await run(stores), 1) as news:
        assert await news.take(0.01) == []
