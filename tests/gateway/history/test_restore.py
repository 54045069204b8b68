"""What the store has lost of a run, put back from history: its rows, its log, in the middle of it and after it."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import delete
from sqlmodel import col
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from longrun.activities.failures import ProviderFailure
from longrun.activities.providers.provider import ModelRequest
from longrun.activities.toolbox.registry import tool
from longrun.runtime.ids import new_id
from longrun.runtime.temporal import TemporalUnavailableError
from longrun.store.blobs import Blobs, KeptResult
from longrun.store.db.tables import SegmentRow
from longrun.workflows.contract.events import ApprovalRequested
from tests.gateway.histories import ALL_TOOLS, DONE, Breaking, asking, assert_restored, behind, holding
from tests.gateway.service_harness import ServiceHarness, service_harness
from tests.harness import Harness, harnessed, order, until
from tests.logcheck import check_settled, of_type, parsed
from tests.patience import PATIENCE
from tests.provider_fake import Gate, Turn, call, in_turn, text, turn
from tests.running import NO_TEMPORAL
from tests.tools import noted, snapping

pytestmark = pytest.mark.server


async def test_a_lost_database_file_gets_a_reviewed_run_back_row_by_row(temporal: str, tmp_path: Path) -> None:
    async with behind(temporal, tmp_path, asking) as (harness, parts):
        handle = await harness.start(order(*ALL_TOOLS))
        await harness.phase(handle, "waiting")
        await parts.decide(handle.id, "c1-0", "edit", args={"text": "tea"})
        await parts.decide(handle.id, "c1-1", "deny")
        await parts.decide(handle.id, "c1-2", "approve")
        await parts.decide(handle.id, "c2-0", "approve")
        await harness.seen(handle.id, "run.resumed")
        await until(lambda: parts.approved(handle.id, "c2-0"), "the early decision to count")
        await parts.cancel(handle.id)
        await harness.ended(handle)
        await assert_restored(harness, parts, handle.id)


async def test_a_run_whose_database_was_lost_under_it_goes_on(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with behind(temporal, tmp_path, holding, gate) as (harness, parts):
        handle = await harness.start(order(*ALL_TOOLS))
        await gate.reached.wait()
        await until(lambda: parts.recorded(handle.id, "tool.completed"), "the other tool's result in history")
        (tmp_path / "longrun.db").unlink()
        assert await parts.rebuilder.restore_unknown(handle.id)
        gate.open()
        async with asyncio.timeout(PATIENCE):
            outcome = await handle.result()
        assert outcome.status == "completed"
        await parts.assert_rebuilt(handle.id)


async def test_a_waiting_run_whose_database_was_lost_can_be_decided(temporal: str, tmp_path: Path) -> None:
    async with behind(temporal, tmp_path, asking) as (harness, parts):
        handle = await harness.start(order(*ALL_TOOLS))
        await until(lambda: parts.recorded(handle.id, "run.waiting"), "the pause in history")
        (tmp_path / "longrun.db").unlink()
        assert await parts.rebuilder.restore_unknown(handle.id)
        assert (await harness.row(handle.id)).status == "waiting"
        for step, index in ((step, index) for step in (1, 2) for index in range(3)):
            await parts.decide(handle.id, f"c{step}-{index}", "approve")
        await harness.ended(handle)
        await parts.assert_rebuilt(handle.id)


SNAPS = in_turn(turn(call("c1", "snap")), DONE)


async def asks(harness: Harness, parts: ServiceHarness, run_id: str, call_id: str) -> None:
    """Wait until history knows that the run asks about this call."""

    async def known() -> bool:
        lines = (await parts.rebuilt(run_id)).lines.values()
        questions = [event for event in parsed(lines) if isinstance(event, ApprovalRequested)]
        return bool(questions) and questions[-1].calls[0].call_id == call_id

    await until(known, f"history to tell of {call_id}")


async def test_a_lost_database_file_gets_a_run_with_an_interrupted_call_back_row_by_row(
    temporal: str, tmp_path: Path
) -> None:
    async with harnessed(temporal, tmp_path, SNAPS, [snapping()]) as harness:
        parts = service_harness(harness)
        handle = await harness.start(order("snap"))
        await asks(harness, parts, handle.id, "c1~2")
        await parts.decide(handle.id, "c1~2", "approve")
        await harness.ended(handle)
        await assert_restored(harness, parts, handle.id)


async def test_of_a_long_result_history_has_the_beginning_and_the_name_of_the_whole(
    temporal: str, tmp_path: Path
) -> None:
    @tool(return_char_limit=4)
    async def recite() -> str:
        """Recite."""
        return "the beginning and the end"

    async with harnessed(temporal, tmp_path, in_turn(turn(call("c1", "recite")), DONE), [recite]) as harness:
        parts = service_harness(harness)
        handle = await harness.start(order("recite"))
        await harness.ended(handle)
        blobs = Blobs(harness.stores.database)
        kept = await blobs.result(handle.id, "c1")
        assert kept
        assert kept.body == b"the beginning and the end"
        await assert_restored(harness, parts, handle.id)
        assert await blobs.result(handle.id, "c1") == KeptResult(kept.outcome, None)


async def test_what_was_agreed_to_is_known_though_the_database_was_lost(temporal: str, tmp_path: Path) -> None:
    async with harnessed(temporal, tmp_path, SNAPS, [snapping(2)]) as harness:
        parts = service_harness(harness)
        handle = await harness.start(order("snap"))
        for attempt in (2, 3):
            await asks(harness, parts, handle.id, f"c1~{attempt}")
            assert len(noted(harness.settings.workspace_folder)) == attempt - 1
            (tmp_path / "longrun.db").unlink()
            assert await parts.rebuilder.restore_unknown(handle.id)
            (pending,) = await parts.stores.approvals.find(run_id=handle.id, status="pending")
            assert (pending.call_id, pending.interrupted) == (f"c1~{attempt}", "c1")
            await parts.decide(handle.id, pending.call_id, "approve")
        async with asyncio.timeout(PATIENCE):
            assert (await handle.result()).status == "completed"
        assert noted(harness.settings.workspace_folder) == ["twig c1"] * 3
        await parts.assert_rebuilt(handle.id)


async def empty_log(parts: ServiceHarness, run_id: str) -> int:
    """Delete a run's events; the last seq that it had given."""
    await parts.stores.database.write(lambda tx: tx.execute(delete(SegmentRow).where(col(SegmentRow.run_id) == run_id)))
    return await parts.head(run_id)


async def test_a_log_emptied_in_the_middle_of_a_run_is_whole_at_its_end(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with behind(temporal, tmp_path, holding, gate) as (harness, parts):
        handle = await harness.start(order(*ALL_TOOLS))
        await gate.reached.wait()
        await harness.seen(handle.id, "tool.completed")
        head = await empty_log(parts, handle.id)
        answers = await asyncio.gather(*(parts.rebuilder.repair(handle.id, head + 1) for _ in range(200)))
        assert not any(answers)  # the tool that runs has written tool.started, and history does not say so yet
        assert of_type(parsed(await parts.settled(handle.id)), "message.completed")
        gate.open()
        await handle.result()
        assert await parts.rebuilder.repair(handle.id, await parts.head(handle.id) + 1)
        check_settled(parsed(await parts.settled(handle.id)))
        await parts.assert_rebuilt(handle.id)


async def test_a_log_emptied_after_the_end_is_put_back(temporal: str, tmp_path: Path) -> None:
    breaking = Breaking(2)
    async with behind(temporal, tmp_path, breaking) as (harness, parts):
        handle = await breaking.play(harness)
        await harness.ended(handle)
        before = await parts.settled(handle.id)
        head = await empty_log(parts, handle.id)
        assert await parts.rebuilder.repair(handle.id, head + 1)
        assert await parts.settled(handle.id) == before
        assert any(segment.superseded and not segment.body for segment in await parts.segments(handle.id))


async def test_an_unchanged_history_is_not_read_again(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with behind(temporal, tmp_path, in_turn(turn(call("c1", "hold")), DONE), gate) as (harness, parts):
        handle = await harness.start(order(*ALL_TOOLS))
        await gate.reached.wait()
        assert not await parts.rebuilder.repair(handle.id, 1000)
        await empty_log(parts, handle.id)
        assert not await parts.rebuilder.repair(handle.id, 1000)
        assert not await parts.segments(handle.id)
        gate.open()
        await handle.result()


async def test_lost_text_that_no_result_names_does_not_hold_up_readers(temporal: str, tmp_path: Path) -> None:
    gate = Gate()

    def script(request: ModelRequest) -> Turn:
        lost = ProviderFailure("transient", "lost", retry_after=0.01)
        return turn(text("Said ", gate, *([lost] if request.attempt == 1 else [" again."])))

    async with behind(temporal, tmp_path, script) as (harness, parts):
        handle = await harness.start(order(*ALL_TOOLS))
        await harness.seen(handle.id, "text.delta")
        await empty_log(parts, handle.id)
        gate.open()
        await handle.result()
        assert await parts.rebuilder.repair(handle.id, await parts.head(handle.id) + 1)
        await parts.assert_rebuilt(handle.id)


async def test_a_run_that_nobody_knows_stays_unknown(temporal: str, tmp_path: Path) -> None:
    async with behind(temporal, tmp_path, in_turn(DONE)) as (_, parts):
        assert not await parts.rebuilder.restore_unknown(new_id())
        assert not await parts.rebuilder.repair(new_id(), 2)
        assert await parts.rebuilder.rebuild(new_id()) is None


async def test_a_run_that_was_started_by_hand_with_what_is_no_order_stays_unknown(
    temporal: str, tmp_path: Path
) -> None:
    async with behind(temporal, tmp_path, in_turn(DONE)) as (harness, parts):
        for argument in ({"nobody": "ordered this"}, "text", None):
            run_id = new_id()
            await harness.client.start_workflow("AgentRun", argument, id=run_id, task_queue=f"nobody-{run_id}")
            assert not await parts.rebuilder.restore_unknown(run_id)
            assert await parts.rebuilder.rebuild(run_id) is None


async def test_temporal_that_is_away_is_an_error_of_its_own(temporal: str, tmp_path: Path) -> None:
    nobody = await Client.connect(NO_TEMPORAL, data_converter=pydantic_data_converter, lazy=True)
    async with harnessed(temporal, tmp_path, in_turn(DONE)) as harness:
        parts = service_harness(harness, nobody)
        with pytest.raises(TemporalUnavailableError):
            await parts.rebuilder.restore_unknown(new_id())
        with pytest.raises(TemporalUnavailableError):
            await parts.rebuilder.repair(new_id(), 2)
