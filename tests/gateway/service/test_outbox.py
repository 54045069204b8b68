"""What is said to a run arrives in the order in which it was accepted, whoever accepted it and whoever sends it."""

import asyncio
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from longrun.gateway.service.delivery import Fate
from longrun.runtime.clock import now
from longrun.runtime.temporal import RETRIES
from longrun.store.runs import Acceptance
from tests.gateway.service_harness import LONG_AGO, ServiceHarness, aged, reconciling, service_harness, tools
from tests.harness import Harness, harnessed, order, until
from tests.provider_fake import Gate, call, in_turn, turn
from tests.relay import Relay, relayed
from tests.running import NO_TEMPORAL

pytestmark = pytest.mark.server

HOLDS = in_turn(turn(call("c1", "hold")), turn("Done."))


async def behind(relay: Relay, harness: Harness) -> ServiceHarness:
    """A gateway that reaches Temporal through a relay."""
    client = await Client.connect(relay.address, data_converter=pydantic_data_converter, retry_config=RETRIES)
    return service_harness(harness, client)


async def say(services: ServiceHarness, run_id: str, text: str) -> Fate:
    """Say something, with the text as its id."""
    return await services.say(run_id, text, text)


async def signals_of(harness: Harness, run_id: str) -> list[str]:
    """The signals of a workflow that has ended, in order: the text of a message, or the name of another signal."""
    history = await harness.handle(run_id).fetch_history()
    converter = harness.client.data_converter.payload_converter
    found: list[str] = []
    for event in history.events:
        if event.HasField("workflow_execution_signaled_event_attributes"):
            signal = event.workflow_execution_signaled_event_attributes
            (said,) = converter.from_payloads(signal.input.payloads)
            found.append(said.get("text", signal.signal_name))
    return found


async def test_what_waits_is_sent_before_what_comes(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with relayed(temporal) as relay, harnessed(temporal, tmp_path, HOLDS, tools(gate)) as harness:
        handle = await harness.start(order("hold"))
        await gate.reached.wait()
        services = await behind(relay, harness)
        relay.cut()
        assert [await say(services, handle.id, text) for text in ("one", "two")] == ["accepted"] * 2
        relay.mend()
        assert await say(services, handle.id, "three") == "delivered"
        assert not await services.signals.undelivered(now() + LONG_AGO)
        gate.open()
        await harness.ended(handle)
        assert await signals_of(harness, handle.id) == ["one", "two", "three"]


async def test_what_one_gateway_could_not_send_another_sends_before_its_own(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with relayed(temporal) as relay, harnessed(temporal, tmp_path, HOLDS, tools(gate)) as harness:
        handle = await harness.start(order("hold"))
        await gate.reached.wait()
        one, other = await behind(relay, harness), service_harness(harness)
        await one.reconciler.round()
        relay.hold()
        hanging = asyncio.create_task(say(one, handle.id, "one"))

        async def kept() -> bool:
            return bool(await other.signals.undelivered_of(handle.id))

        await until(kept, "the signal that hangs")
        assert await say(other, handle.id, "two") == "delivered"
        assert await other.cancel(handle.id) == "delivered"
        outcome, _ = await harness.ended(handle)
        assert outcome.status == "cancelled"
        assert await signals_of(harness, handle.id) == ["one", "two", "cancel"]
        relay.cut()
        assert await hanging == "accepted"


async def test_many_who_speak_while_temporal_is_unavailable_are_delivered_in_order_and_once(
    temporal: str, tmp_path: Path
) -> None:
    gate = Gate()
    async with relayed(temporal) as relay, harnessed(temporal, tmp_path, HOLDS, tools(gate)) as harness:
        handle = await harness.start(order("hold"))
        await gate.reached.wait()
        gateways = [await behind(relay, harness), await behind(relay, harness)]
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
        assert list(dict.fromkeys(await signals_of(harness, handle.id))) == accepted
        received = [message.text for message in harness.provider.requests[-1].messages if message.role == "user"]
        assert received[1:] == accepted


async def test_what_is_said_twice_is_delivered_twice_and_counts_once(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with harnessed(temporal, tmp_path, HOLDS, tools(gate)) as harness:
        handle = await harness.start(order("hold"))
        await gate.reached.wait()
        services = service_harness(harness)
        assert [await say(services, handle.id, "one") for _ in range(2)] == ["delivered"] * 2
        gate.open()
        await harness.ended(handle)
        assert await signals_of(harness, handle.id) == ["one", "one"]
        received = [message.text for message in harness.provider.requests[-1].messages if message.role == "user"]
        assert received[1:] == ["one"]


async def test_what_is_said_before_the_start_is_delivered_after_it_and_in_order(temporal: str, tmp_path: Path) -> None:
    nobody = await Client.connect(NO_TEMPORAL, data_converter=pydantic_data_converter, lazy=True, retry_config=RETRIES)
    async with harnessed(temporal, tmp_path, HOLDS, tools(Gate())) as harness:
        unconnected, services = service_harness(harness, nobody), service_harness(harness)
        given = order("hold")
        await unconnected.service.start(Acceptance(given))
        assert await say(unconnected, given.run_id, "one") == "accepted"
        assert await say(services, given.run_id, "two") == "accepted"
        await unconnected.cancel(given.run_id)
        await aged(unconnected)
        await services.reconciler.round()
        await harness.ended(harness.handle(given.run_id))
        assert await signals_of(harness, given.run_id) == ["one", "two", "cancel"]
