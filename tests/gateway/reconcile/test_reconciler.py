"""What the reconciler starts, delivers and ends."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from longrun.gateway.reconcile.reconciler import Reconciler
from longrun.gateway.service.runs import RunService
from longrun.runtime.clock import now
from longrun.runtime.temporal import TemporalUnavailableError
from longrun.store.db.tables import RunRow
from longrun.store.repair.restore import restore_run
from longrun.store.runs import Acceptance
from tests.gateway.histories import DONE, behind
from tests.gateway.service_harness import LONG_AGO, accept, aged, over, reconciling, service_harness
from tests.harness import Harness, order, unserved, until
from tests.logcheck import check_settled, of_type
from tests.provider_fake import Gate, call, in_turn, turn
from tests.running import NO_TEMPORAL

pytestmark = pytest.mark.server

WAITS = in_turn(turn(call("c1", "note", {"text": "milk"})), DONE)


async def test_an_accepted_run_that_nobody_started_is_started(temporal: str, tmp_path: Path) -> None:
    async with behind(temporal, tmp_path, in_turn(DONE)) as (harness, services):
        given = await accept(services, order())
        async with reconciling(services):
            await over(services, given.run_id)
        await harness.ended(harness.handle(given.run_id))


async def test_a_run_accepted_while_temporal_is_away_starts_when_it_is_back(temporal: str, tmp_path: Path) -> None:
    nobody = await Client.connect(NO_TEMPORAL, data_converter=pydantic_data_converter, lazy=True)
    async with behind(temporal, tmp_path, in_turn(turn(call("c1", "hold")), DONE)) as (harness, services):
        unavailable = service_harness(harness, nobody)
        given = order("hold")
        accepted = await unavailable.service.start(Acceptance(given))
        assert accepted.created
        assert await unavailable.say(given.run_id, "And one more thing.") == "accepted"
        assert await unavailable.cancel(given.run_id) == "accepted"
        await aged(unavailable)
        with pytest.raises(TemporalUnavailableError):
            await unavailable.reconciler.round()
        async with reconciling(services):
            row = await over(services, given.run_id)
        assert row.status == "cancelled"
        assert not await services.signals.undelivered(now() + LONG_AGO)


async def test_signals_wait_for_a_workflow_that_is_yet_to_be_started(temporal: str, tmp_path: Path) -> None:
    async with behind(temporal, tmp_path, WAITS) as (_, services):
        given = await accept(services, order("note"))
        await services.decide(given.run_id, "c1", "approve")
        assert await services.signals.undelivered(now() + LONG_AGO)
        await aged(services)
        async with reconciling(services):
            assert (await over(services, given.run_id)).stop_reason == "end_turn"
        assert not await services.signals.undelivered(now() + LONG_AGO)


async def test_a_terminated_run_is_ended_and_its_thread_goes_on(temporal: str, tmp_path: Path) -> None:
    async with behind(temporal, tmp_path, WAITS) as (harness, services):
        first = order("note")
        handle = await harness.start(first)
        await harness.phase(handle, "waiting")
        second = await accept(services, order("note", thread_id=first.thread_id))
        async with reconciling(services):
            await until(lambda: services.recorded(first.run_id, "run.waiting"), "the pause in history")
            await handle.terminate(reason="I have seen enough")
            row = await over(services, first.run_id)
            await harness.phase(harness.handle(second.run_id), "waiting")
        assert (row.status, row.stop_reason) == ("failed", "terminated")
        events = await harness.events(first.run_id)
        check_settled(events)
        assert "I have seen enough" in events[-1].model_dump_json()
        assert events[-1].model_dump(include={"usage": {"input_tokens"}}) == {"usage": {"input_tokens": 10}}
        await services.assert_rebuilt(first.run_id)
        await services.cancel(second.run_id)
        await harness.ended(harness.handle(second.run_id))


async def test_a_run_terminated_while_nobody_looked_is_ended(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with behind(temporal, tmp_path, in_turn(turn(call("c1", "hold")), DONE), gate) as (harness, services):
        handle = await harness.start(order("hold"))
        await gate.reached.wait()
        await handle.terminate()
        await services.reconciler.round()
        row = await harness.row(handle.id)
        assert row.stop_reason == "terminated"
        (result,) = of_type(await harness.events(handle.id), "tool.completed")
        assert '"cancelled"' in result.model_dump_json()
        check_settled(await harness.events(handle.id))
        gate.open()


async def test_a_run_that_somebody_watches_is_ended_without_the_list_of_closed_workflows(
    temporal: str, tmp_path: Path
) -> None:
    async with behind(temporal, tmp_path, WAITS) as (harness, services):
        runs, delivery = services.stores.runs, services.delivery
        lists_nothing = RunService(services.workflows, "nobody's", runs, delivery)
        handles = [await harness.start(order("note")) for _ in range(3)]
        for handle in handles:
            await harness.phase(handle, "waiting")
        thread_id = (await harness.row(handles[2].id)).thread_id
        queued = await accept(services, order("note", thread_id=thread_id))
        watched = {handle.id: 7 for handle in handles[:2]} | {queued.run_id: 1, "gone": 1}
        reconciler = Reconciler(lists_nothing, runs, delivery, services.rebuilder, lambda: dict(watched))
        await reconciler.round()
        for handle in handles:
            await handle.terminate()
        watched[handles[1].id] += 1
        await reconciler.round()
        assert [(await harness.row(handle.id)).status for handle in handles] == ["failed", "waiting", "waiting"]
        await reconciler.round()
        assert [(await harness.row(handle.id)).status for handle in handles] == ["failed", "failed", "waiting"]
        assert (await harness.row(queued.run_id)).status == "queued"
        assert await services.cancel(queued.run_id) == "delivered"
        async with reconciling(services):
            await over(services, handles[2].id)


async def test_a_workflow_that_timed_out_ends_its_run_as_expired(temporal: str, tmp_path: Path) -> None:
    async with behind(temporal, tmp_path, WAITS) as (harness, services):
        handle = await harness.start(order("note"), execution_timeout=timedelta(seconds=1))
        async with reconciling(services):
            row = await over(services, handle.id)
        assert (row.status, row.stop_reason) == ("failed", "expired")
        check_settled(await harness.events(handle.id))


async def test_a_run_that_goes_on_is_left_alone(temporal: str, tmp_path: Path) -> None:
    async with behind(temporal, tmp_path, WAITS) as (harness, services):
        handle = await harness.start(order("note"))
        await harness.phase(handle, "waiting")
        await services.reconciler.round()
        assert (await harness.row(handle.id)).status == "waiting"
        await services.decide(handle.id, "c1", "approve")
        await harness.ended(handle)


async def test_a_run_that_was_reset_is_not_over(temporal: str, tmp_path: Path) -> None:
    async with behind(temporal, tmp_path, WAITS) as (harness, services):
        handle = await harness.start(order("note"))
        await harness.phase(handle, "waiting")
        await reset(harness, handle.id)
        await harness.seen(handle.id, "run.resumed")
        await services.reconciler.round()
        assert (await harness.row(handle.id)).ended_at is None
        again = harness.handle(handle.id)
        (pending,) = (await harness.phase(again, "waiting")).pending
        await services.decide(handle.id, pending.call_id, "approve")
        await harness.ended(again)
        await services.assert_rebuilt(handle.id)


async def reset(harness: Harness, run_id: str) -> None:
    """Set a run back to its first task, as the Web UI does."""
    described = await harness.handle(run_id).describe()
    execution = WorkflowExecution(workflow_id=run_id, run_id=described.run_id)
    request = ResetWorkflowExecutionRequest(
        namespace=harness.client.namespace,
        workflow_execution=execution,
        reason="once more",
        workflow_task_finish_event_id=4,
        request_id=run_id,
    )
    await harness.client.workflow_service.reset_workflow_execution(request)


async def test_a_run_whose_workflow_is_gone_is_ended(temporal: str, tmp_path: Path) -> None:
    async with unserved(temporal, tmp_path, in_turn(DONE)) as harness:
        services = service_harness(harness)
        given = await accept(services, order())
        await services.stores.runs.dispatched(given.run_id)
        await services.stores.database.write(lambda tx: tx.execute(update(RunRow).values(step=1, status="running")))
        await services.reconciler.round()
        assert (await harness.row(given.run_id)).stop_reason == "terminated"


async def test_a_run_whose_start_was_lost_is_started_again(temporal: str, tmp_path: Path) -> None:
    async with behind(temporal, tmp_path, in_turn(DONE)) as (harness, services):
        given = await accept(services, order())
        await services.stores.runs.dispatched(given.run_id)
        await services.reconciler.round()
        await harness.ended(harness.handle(given.run_id))


async def test_runs_that_go_on_are_brought_back_into_a_new_database(temporal: str, tmp_path: Path) -> None:
    async with behind(temporal, tmp_path, WAITS) as (harness, services):
        handle = await harness.start(order("note"))
        await harness.phase(handle, "waiting")
        (tmp_path / "longrun.db").unlink()

        async def brought_back() -> bool:
            services.reconciler.look_at_all()
            await services.reconciler.round()
            return await services.stores.runs.get(handle.id) is not None

        await until(brought_back, "the run in the new database")
        await services.decide(handle.id, "c1", "approve")
        await harness.ended(handle)
        await services.assert_rebuilt(handle.id)


async def test_a_run_that_ended_behind_an_old_copy_of_the_database_is_caught_up(temporal: str, tmp_path: Path) -> None:
    async with behind(temporal, tmp_path, WAITS) as (harness, services):
        handle = await harness.start(order("note"))
        await until(lambda: services.recorded(handle.id, "run.waiting"), "the pause in history")
        history, lines = await services.rebuilt(handle.id), await services.settled(handle.id)
        await services.decide(handle.id, "c1", "approve")
        await harness.ended(handle)
        whole = services.rows()
        (tmp_path / "longrun.db").unlink()
        await services.stores.database.write(lambda tx: restore_run(tx, history))
        assert await services.settled(handle.id) == lines
        await services.reconciler.round()
        assert services.rows() == whole
        await services.assert_rebuilt(handle.id)


async def test_a_start_that_temporal_refuses_ends_the_run(temporal: str, tmp_path: Path) -> None:
    async with unserved(temporal, tmp_path, in_turn(DONE)) as harness:
        services = service_harness(harness)
        given = await accept(services, order(text="x" * 3_000_000))
        await aged(services)
        await services.reconciler.round()
        row = await harness.row(given.run_id)
        assert (row.status, row.stop_reason) == ("failed", "error")


async def test_the_loop_outlives_temporal_and_the_store(
    temporal: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nobody = await Client.connect(NO_TEMPORAL, data_converter=pydantic_data_converter, lazy=True)
    async with unserved(temporal, tmp_path, in_turn(DONE)) as harness:
        unavailable = service_harness(harness, nobody)
        async with reconciling(unavailable):
            await until(lambda: warned(caplog), "a warning")


async def warned(caplog: pytest.LogCaptureFixture) -> bool:
    return sum("when it is back" in record.message for record in caplog.records) == 1
