"""What is said to a run arrives in the order in which it was accepted, whoever accepted it and whoever sends it."""

import asyncio
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from longrun.runtime.clock import now
from longrun.runtime.temporal import RETRIES
from longrun.store.runs import Acceptance
from longrun.workflows.contract.runs import Cancel, Said
from tests.gateway.service_harness import LONG_AGO, ServiceHarness, aged, reconciling, service_harness, tools
from tests.harness import Harness, harnessed, order, until
from tests.provider_fake import Gate, call, in_turn, turn
from tests.relay import Relay, relayed
from tests.running import NO_TEMPORAL

pytestmark = pytest.mark.server

HOLDS = in_turn(turn(call("c1", "hold")), turn("Done."))


async def through(relay: Relay, harness: Harness) -> ServiceHarness:
    """A gateway behind a line that can be cut."""
    client = await Client.connect(relay.address, data_converter=pydantic_data_converter, retry_config=RETRIES)
    return service_harness(harness, client)


async def say(services: ServiceHarness, run_id: str, words: str) -> str:
    """Say something; what became of it."""
    row = await services.stores.runs.get(run_id)
    assert row is not None
    return await services.service.say(row, Said(text=words, by="ann", id=words))


async def arrived(harness: Harness, run_id: str) -> list[str]:
    """What a workflow that has ended was told, in order: the words, or the name of another signal."""
    history = await harness.handle(run_id).fetch_history()
    converter = harness.client.data_converter.payload_converter
    told: list[str] = []
    for event in history.events:
        if event.HasField("workflow_execution_signaled_event_attributes"):
            signal = event.workflow_execution_signaled_event_attributes
            (said,) = converter.from_payloads(signal.input.payloads)
            told.append(said.get("text", signal.signal_name))
    return told


async def test_what_waits_is_sent_before_what_comes(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with relayed(temporal) as relay, harnessed(temporal, tmp_path, HOLDS, tools(gate)) as harness:
        handle = await harness.start(order("hold"))
        await gate.reached.wait()
        services = await through(relay, harness)
        relay.cut()
        assert [await say(services, handle.id, words) for words in ("one", "two")] == ["accepted"] * 2
        relay.mend()
        assert await say(services, handle.id, "three") == "delivered"
        assert not await services.signals.undelivered(now() + LONG_AGO)
        gate.open()
        await harness.ended(handle)
        assert await arrived(harness, handle.id) == ["one", "two", "three"]


async def test_what_one_gateway_could_not_send_another_sends_before_its_own(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with relayed(temporal) as relay, harnessed(temporal, tmp_path, HOLDS, tools(gate)) as harness:
        handle = await harness.start(order("hold"))
        await gate.reached.wait()
        one, other = await through(relay, harness), service_harness(harness)
        await one.reconciler.round()
        relay.hold()
        hanging = asyncio.create_task(say(one, handle.id, "one"))

        async def kept() -> bool:
            return bool(await other.signals.undelivered_of(handle.id))

        await until(kept, "the signal that hangs")
        assert await say(other, handle.id, "two") == "delivered"
        row = await harness.row(handle.id)
        assert await other.service.cancel(row, Cancel(by="ann")) == "delivered"
        outcome, _ = await harness.ended(handle)
        assert outcome.status == "cancelled"
        assert await arrived(harness, handle.id) == ["one", "two", "cancel"]
        relay.cut()
        assert await hanging == "accepted"


async def test_many_who_speak_while_temporal_is_away_are_heard_in_order_and_once(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with relayed(temporal) as relay, harnessed(temporal, tmp_path, HOLDS, tools(gate)) as harness:
        handle = await harness.start(order("hold"))
        await gate.reached.wait()
        gateways = [await through(relay, harness), await through(relay, harness)]
        relay.cut()
        said = await asyncio.gather(*(say(gateways[n % 2], handle.id, str(n)) for n in range(20)))
        assert said == ["accepted"] * 20
        accepted = [signal.key.rpartition(":")[2] for signal in await gateways[0].signals.undelivered_of(handle.id)]
        await aged(gateways[0])
        relay.mend()
        async with reconciling(gateways[0]), reconciling(gateways[1]):

            async def sent() -> bool:
                return not await gateways[0].signals.undelivered_of(handle.id)

            await until(sent, "an empty outbox")
        gate.open()
        await harness.ended(handle)
        assert list(dict.fromkeys(await arrived(harness, handle.id))) == accepted
        heard = [message.text for message in harness.provider.requests[-1].messages if message.role == "user"]
        assert heard[1:] == accepted


async def test_what_is_said_twice_is_sent_twice_and_heard_once(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with harnessed(temporal, tmp_path, HOLDS, tools(gate)) as harness:
        handle = await harness.start(order("hold"))
        await gate.reached.wait()
        services = service_harness(harness)
        assert [await say(services, handle.id, "one") for _ in range(2)] == ["delivered"] * 2
        gate.open()
        await harness.ended(handle)
        assert await arrived(harness, handle.id) == ["one", "one"]
        heard = [message.text for message in harness.provider.requests[-1].messages if message.role == "user"]
        assert heard[1:] == ["one"]


async def test_what_is_said_before_the_start_is_heard_after_it_and_in_order(temporal: str, tmp_path: Path) -> None:
    nobody = await Client.connect(NO_TEMPORAL, data_converter=pydantic_data_converter, lazy=True, retry_config=RETRIES)
    async with harnessed(temporal, tmp_path, HOLDS, tools(Gate())) as harness:
        away, services = service_harness(harness, nobody), service_harness(harness)
        given = order("hold")
        await away.service.start(Acceptance(given))
        assert await say(away, given.run_id, "one") == "accepted"
        assert await say(services, given.run_id, "two") == "accepted"
        await away.service.cancel(await harness.row(given.run_id), Cancel(by="ann"))
        await aged(away)
        await services.reconciler.round()
        await harness.ended(harness.handle(given.run_id))
        assert await arrived(harness, given.run_id) == ["one", "two", "cancel"]
