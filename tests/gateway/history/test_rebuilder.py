"""A run's log and rows, rebuilt from Temporal's history alone."""

from pathlib import Path

import pytest

from tests.gateway.histories import ALL_TOOLS, DONE, Breaking, asking, assert_restored, behind, holding
from tests.harness import order
from tests.logcheck import of_type
from tests.provider_fake import Gate, call, in_turn, reasoning, text, turn

pytestmark = pytest.mark.server

PLAIN = turn(reasoning("Let ", "me ", "see."), "Hello there, how are you?")


async def test_a_plain_run_is_rebuilt_byte_for_byte(temporal: str, tmp_path: Path) -> None:
    async with behind(temporal, tmp_path, in_turn(PLAIN)) as (harness, parts):
        handle = await harness.start(order(*ALL_TOOLS))
        await harness.ended(handle)
        await parts.assert_rebuilt(handle.id)


async def test_parallel_tools_with_progress_and_bad_calls_are_rebuilt(temporal: str, tmp_path: Path) -> None:
    echoes = [call(f"c{index}", "echo", {"text": "one two"}) for index in range(3)]
    script = in_turn(turn("Five at once.", *echoes, call("c3", "nonesuch"), call("c4", "echo", "{nonsense")), DONE)
    async with behind(temporal, tmp_path, script) as (harness, parts):
        handle = await harness.start(order(*ALL_TOOLS))
        _, events = await harness.ended(handle)
        assert len(of_type(events, "tool.progress")) == 6
        await parts.assert_rebuilt(handle.id)


async def test_decisions_of_every_kind_and_early_ones_are_rebuilt(temporal: str, tmp_path: Path) -> None:
    async with behind(temporal, tmp_path, asking) as (harness, parts):
        handle = await harness.start(order(*ALL_TOOLS))
        await harness.phase(handle, "waiting")
        for index in range(3):
            await parts.decide(handle.id, f"c2-{index}", "approve")
        await parts.decide(handle.id, "c1-1", "deny", reason="no milk")
        await parts.decide(handle.id, "c1-0", "edit", args={"text": "tea"})
        await parts.decide(handle.id, "c1-2", "answer", answer="written by hand")
        _, events = await harness.ended(handle)
        assert len(of_type(events, "approval.decided")) == 6
        await parts.assert_rebuilt(handle.id)


async def test_an_approval_that_expired_is_rebuilt(temporal: str, tmp_path: Path) -> None:
    async with behind(temporal, tmp_path, asking) as (harness, parts):
        handle = await harness.start(order(*ALL_TOOLS, approval_timeout=0.3))
        outcome, _ = await harness.ended(handle)
        assert outcome.stop_reason == "expired"
        await parts.assert_rebuilt(handle.id)


async def test_a_run_cancelled_while_it_waits_is_rebuilt(temporal: str, tmp_path: Path) -> None:
    async with behind(temporal, tmp_path, asking) as (harness, parts):
        handle = await harness.start(order(*ALL_TOOLS))
        await harness.phase(handle, "waiting")
        await parts.cancel(handle.id)
        await harness.ended(handle)
        await parts.assert_rebuilt(handle.id)


async def test_a_run_cancelled_in_the_middle_of_a_message_is_rebuilt(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    script = in_turn(turn(reasoning("Hm."), text("Half ", "a sen", gate, "tence.")))
    async with behind(temporal, tmp_path, script) as (harness, parts):
        handle = await harness.start(order(*ALL_TOOLS))
        await gate.reached.wait()
        await parts.cancel(handle.id)
        await harness.ended(handle)
        await parts.assert_rebuilt(handle.id)


async def test_a_run_cancelled_in_a_tool_is_rebuilt(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with behind(temporal, tmp_path, holding, gate) as (harness, parts):
        handle = await harness.start(order(*ALL_TOOLS))
        await gate.reached.wait()
        await parts.cancel(handle.id)
        await harness.ended(handle)
        await parts.assert_rebuilt(handle.id)


async def test_words_said_on_the_way_are_rebuilt(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with behind(temporal, tmp_path, holding, gate) as (harness, parts):
        handle = await harness.start(order(*ALL_TOOLS))
        await gate.reached.wait()
        for said in ("One more thing.", "And another."):
            await parts.say(handle.id, said)
        gate.open()
        _, events = await harness.ended(handle)
        assert len(of_type(events, "message.received")) == 2
        await parts.assert_rebuilt(handle.id)
        await assert_restored(harness, parts, handle.id)


async def test_superseded_attempts_leave_their_notices_and_not_their_text(temporal: str, tmp_path: Path) -> None:
    breaking = Breaking(2)
    async with behind(temporal, tmp_path, breaking) as (harness, parts):
        handle = await breaking.play(harness)
        _, events = await harness.ended(handle)
        assert len(of_type(events, "attempt.superseded")) == 2
        await parts.assert_rebuilt(handle.id)
        await assert_restored(harness, parts, handle.id)


async def test_a_run_that_failed_in_the_middle_of_a_message_is_rebuilt(temporal: str, tmp_path: Path) -> None:
    breaking = Breaking(1, "fatal")
    async with behind(temporal, tmp_path, breaking) as (harness, parts):
        handle = await breaking.play(harness)
        outcome, events = await harness.ended(handle)
        assert outcome.status == "failed"
        assert len(of_type(events, "attempt.superseded")) == 1
        await parts.assert_rebuilt(handle.id)
        await assert_restored(harness, parts, handle.id)
