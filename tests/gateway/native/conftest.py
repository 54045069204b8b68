"""A gateway without Temporal over a store with runs in it: most of the door needs no more."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from longrun.runtime.settings import Settings
from longrun.store.db.database import Tx
from longrun.workflows.contract.requests import ModelCall
from tests.build import START, Stores, calls, finish, pause, says
from tests.running import Front, serving


@dataclass(frozen=True)
class Stand:
    """The gateway, its store, and runs in it.

    ``finished`` has 200 events; ``waiting`` waits for ``call-1``; both of ``twins`` wait for ``twin-1``.
    """

    front: Front
    stores: Stores
    finished: str
    waiting: str
    twins: tuple[str, str]

    async def rows(self) -> dict[str, int]:
        """How many rows each table has that a request could add to."""
        tables = ("agents", "runs", "threads", "segments", "messages", "outbox", "approvals")
        counts = ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)  # noqa: S608 - our own names

        def count(tx: Tx) -> dict[str, int]:
            return dict(zip(tables, tx.exec_driver_sql(f"SELECT {counts}").one(), strict=True))

        return await self.stores.database.write(count)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    settings = Settings(home=tmp_path_factory.mktemp("native"))
    async with serving(settings) as front:
        stores = Stores.over(settings.database)
        try:
            waiting = [await wait_for(stores, call_id) for call_id in ("call-1", "twin-1", "twin-1")]
            finished = await complete(stores, 200)
            yield Stand(front, stores, finished, waiting[0], (waiting[1], waiting[2]))
        finally:
            await stores.database.aclose()


async def wait_for(stores: Stores, call_id: str) -> str:
    """A run that waits for a person."""
    run_id = (await stores.accept()).run_id
    await stores.runs.dispatched(run_id)
    message = calls(call_id)
    await stores.ask(ModelCall(run_id=run_id, step=1), message)
    await stores.approvals.pause(pause(run_id, 1, message), START)
    return run_id


async def complete(stores: Stores, events: int) -> str:
    """A completed run of so many events."""
    run_id = (await stores.accept()).run_id
    await stores.runs.dispatched(run_id)
    around = 6  # run.accepted, step.started, text.completed, message.completed, turn.ended, run.completed
    await stores.ask(ModelCall(run_id=run_id, step=1), says("abcd" * (events - around)))
    await stores.runs.finish(finish(run_id), START)
    assert await stores.log.head(run_id) == events
    return run_id
