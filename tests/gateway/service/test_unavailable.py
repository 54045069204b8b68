"""Temporal becomes unavailable, comes back, or refuses; a workflow fails: nothing is lost or stuck."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest
from sqlalchemy import update
from temporalio import workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from longrun.runtime.clock import now
from longrun.runtime.temporal import RETRIES, TemporalUnavailableError
from longrun.store.db.tables import RunRow
from longrun.store.outbox import Signal
from longrun.store.runs import Acceptance
from longrun.workflows.contract.runs import Outcome, RunState
from tests.gateway.service_harness import LONG_AGO, accept, aged, over, reconciling, service_harness, tools
from tests.harness import harnessed, order, unserved, until
from tests.patience import PATIENCE
from tests.provider_fake import Gate, call, in_turn, turn
from tests.relay import relayed

pytestmark = pytest.mark.server


@workflow.defn(name="AgentRun")
class FailingRun:
    """A run whose code is broken."""

    @workflow.run
    async def run(self, state: RunState) -> Outcome:
        """Fail at once."""
        raise ApplicationError(f"run {state.order.run_id} cannot go on", non_retryable=True)


async def test_what_is_said_while_the_line_is_cut_arrives_when_it_is_mended(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    script = in_turn(turn(call("c1", "hold")))
    async with relayed(temporal) as relay, harnessed(temporal, tmp_path, script, tools(gate)) as harness:
        client = await Client.connect(relay.address, data_converter=pydantic_data_converter, retry_config=RETRIES)
        services = service_harness(harness, client)
        handle = await harness.start(order("hold"))
        await gate.reached.wait()
        await services.reconciler.round()
        relay.cut()
        assert await services.cancel(handle.id) == "accepted"
        await aged(services)
        with pytest.raises(TemporalUnavailableError):
            await services.reconciler.round()
        relay.mend()
        async with reconciling(services):
            outcome, _ = await harness.ended(handle)
    assert outcome.status == "cancelled"


async def test_a_round_that_fails_is_told_and_the_next_one_comes(
    temporal: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longrun.gateway.reconcile.reconciler.INTERVAL", 0.01)
    caplog.set_level("INFO", "longrun.gateway.reconcile.reconciler")
    async with harnessed(temporal, tmp_path, in_turn(turn("Done.")), tools(Gate())) as harness:
        services = service_harness(harness)
        given = await accept(services, order())
        await aged(services)

        async def write(body: str) -> None:
            await services.stores.database.write(lambda tx: tx.execute(update(RunRow).values(order=body)))

        async def logged() -> bool:
            return "a round of the reconciler failed" in caplog.text

        await write("{}")
        async with reconciling(services):
            await until(logged, "a log line about the round")
            await write(given.model_dump_json())
            assert (await over(services, given.run_id)).status == "completed"
    assert "answer again" in caplog.text


async def test_a_workflow_that_failed_ends_its_run_with_its_reason(temporal: str, tmp_path: Path) -> None:
    async with unserved(temporal, tmp_path, in_turn(turn("Done."))) as harness:
        services = service_harness(harness)
        broken = Worker(
            harness.client,
            task_queue=harness.settings.task_queue,
            workflows=[FailingRun],
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        async with broken:
            handle = await harness.start(order())
            async with reconciling(services):
                row = await over(services, handle.id)
    assert (row.status, row.stop_reason) == ("failed", "error")
    assert row.error is not None
    assert f"the workflow failed: run {handle.id} cannot go on" in row.error


async def test_a_signal_that_temporal_will_never_take_holds_nothing_up(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with harnessed(temporal, tmp_path, in_turn(turn(call("c1", "hold"))), tools(gate)) as harness:
        services = service_harness(harness)
        handle = await harness.start(order("hold"))
        await gate.reached.wait()
        body = '{"call_id": "c9", "decision": "answer", "answer": "%s"}' % ("x" * 3_000_000)
        await services.signals.accept(Signal(handle.id, "decide:1", "decide", body), now())
        await services.signals.accept(Signal(handle.id, "cancel:1", "cancel", '{"by": "ann"}'), now())
        await aged(services)
        await services.reconciler.round()
        outcome, _ = await harness.ended(handle)
        assert outcome.status == "cancelled"
        assert not await services.signals.undelivered(now() + LONG_AGO)


async def test_what_is_said_to_a_workflow_that_was_just_terminated_is_said_to_be_too_late(
    temporal: str, tmp_path: Path
) -> None:
    gate = Gate()
    async with harnessed(temporal, tmp_path, in_turn(turn(call("c1", "hold"))), tools(gate)) as harness:
        services = service_harness(harness)
        handle = await harness.start(order("hold"))
        await gate.reached.wait()
        await handle.terminate()
        assert await services.say(handle.id, "Wait!") == "over"
        assert not await services.signals.undelivered(now() + LONG_AGO)
        gate.open()


async def test_a_start_that_the_store_does_not_live_to_see_is_only_told(
    temporal: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with unserved(temporal, tmp_path, in_turn(turn("Done."))) as harness:
        async with aclosing(harness.stores.database):
            services = service_harness(harness)
            await services.service.start(Acceptance(order()))
        async with asyncio.timeout(PATIENCE):
            while "waits: the store is closed" not in caplog.text:  # noqa: ASYNC110 - the service's own pace
                await asyncio.sleep(0.01)
