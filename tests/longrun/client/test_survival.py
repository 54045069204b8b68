"""Gateways that are killed and answers that are lost, over real processes and sockets: each event once, one start."""

import asyncio
from pathlib import Path

import pytest

from longrun.activities.providers.provider import ModelRequest
from longrun.client import AnyEvent, operations
from longrun.client.log import Line
from longrun.runtime.settings import Settings
from longrun.workflows.contract.events import TextDelta
from longrun.workflows.contract.runs import Decision
from longrun.workflows.contract.views import Delivered
from tests.gateway_process import worked
from tests.harness import until
from tests.longrun.client.driving import EITHER, LONG, Kind, driving
from tests.patience import PATIENCE
from tests.provider_fake import Gate, Turn, text, turn
from tests.relay import relayed
from tests.running import Front, serving

KILLS = 3
AGENT = {"model": "scripted/x"}


def spoken(events: list[AnyEvent]) -> str:
    return "".join(event.delta for event in events if isinstance(event, TextDelta))


async def whole_log(front: Front, run_id: str) -> list[AnyEvent]:
    """All events of a run that has ended, by a stream that nobody cuts."""
    return [Line(seq, kind, data).event() for seq, kind, data in await front.frames(run_id, "?view=raw")]


@pytest.mark.server
@EITHER
async def test_a_stream_over_a_gateway_that_is_killed_three_times_gives_each_event_once(
    kind: Kind, temporal: str, tmp_path: Path
) -> None:
    gates = [Gate() for _ in range(KILLS)]

    def says(_request: ModelRequest) -> Turn:
        return turn(*(text(f"Before {n}. ", gate, f"After {n}. ") for n, gate in enumerate(gates)))

    async with (
        worked(temporal, tmp_path / "home", says) as (front, gateway),
        driving(kind, front.base_url, LONG) as client,
    ):
        run = await client.ask(operations.start_run, AGENT, "go")
        events: list[AnyEvent] = []
        reading = asyncio.create_task(client.read(run.id, into=events))
        for number, gate in enumerate(gates):

            async def read_on(expected: str = f"Before {number}. ") -> bool:
                return spoken(events).endswith(expected)

            async def interrupted(least: int = number + 1) -> bool:
                return len(client.interruptions) >= least

            await until(read_on, f"the reader to come to kill {number}")
            await gateway.end()
            gate.open()  # the run goes on while no gateway serves its reader
            await until(interrupted, f"the reader to notice kill {number}")
            await gateway.start()
        async with asyncio.timeout(PATIENCE):
            await reading
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert events == await whole_log(front, run.id)
        assert spoken(events) == "".join(f"Before {n}. After {n}. " for n in range(KILLS))


@pytest.mark.server
@EITHER
async def test_a_stream_that_begins_while_the_gateway_is_dead_waits_for_it(
    kind: Kind, temporal: str, tmp_path: Path
) -> None:
    async with (
        worked(temporal, tmp_path / "home", lambda _: turn("Done.")) as (front, gateway),
        driving(kind, front.base_url, LONG) as client,
    ):
        run = await client.ask(operations.start_run, AGENT, "go")
        await gateway.end()
        reading = asyncio.create_task(client.read(run.id))

        async def interrupted() -> bool:
            return bool(client.interruptions)

        await until(interrupted, "the reader to notice")
        await gateway.start()
        assert await reading == await whole_log(front, run.id)


@EITHER
async def test_a_start_and_a_decision_whose_answers_are_lost_are_one(kind: Kind, tmp_path: Path) -> None:
    async with (
        serving(Settings(home=tmp_path)) as front,
        relayed(front.base_url.removeprefix("http://")) as relay,
        driving(kind, f"http://{relay.address}", LONG) as client,
    ):

        async def lost() -> bool:
            return bool(client.interruptions)

        relay.mute()
        starting = asyncio.create_task(client.ask(operations.start_run, AGENT, "go"))
        await until(lost, "the answer of the start to be lost")
        relay.mend()
        run = await starting
        assert [each["id"] for each in (await front.http.get("/api/runs")).json()["runs"]] == [run.id]

        client.interruptions.clear()
        relay.mute()
        decision = Decision(call_id="c1", decision="approve", by="ann")
        deciding = asyncio.create_task(client.ask(operations.decide, decision, run.id))
        await until(lost, "the answer of the decision to be lost")
        relay.mend()
        assert await deciding == Delivered(run_id=run.id, delivery="accepted")
