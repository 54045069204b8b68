"""A task without which a gateway is none dies: it is told of, and started again."""

import asyncio

from longrun.gateway.service.vitals import Vitals
from tests.gateway.service_harness import serving
from tests.harness import until


async def test_a_task_that_dies_or_ends_is_down_until_it_is_started_again() -> None:
    vitals = Vitals(pause=0.05)
    lives: list[set[str]] = []
    living = asyncio.Event()

    async def serve() -> None:
        lives.append(set(vitals.down))
        if len(lives) == 1:
            raise LookupError("odd")
        if len(lives) == 3:
            living.set()
            await asyncio.Event().wait()

    async def is_down() -> bool:
        return "the clock" in vitals.down

    async with serving(vitals.keep("the clock", serve)):
        await until(is_down, "the task to be down")
        await living.wait()
    assert vitals.down == {}
    assert lives == [set(), set(), set()]
