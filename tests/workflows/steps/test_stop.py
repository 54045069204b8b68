"""A run that is stopped in any phase: its end comes fast, and once."""

import asyncio
from pathlib import Path
from typing import Literal

import pytest
from temporalio import activity
from typing_extensions import override

from longrun.activities.lifecycle import LifecycleActivities
from longrun.runtime.clock import now
from longrun.store.runs import Acceptance
from longrun.workflows.agent_run import AgentRun
from longrun.workflows.contract.events import MessageCompleted, RunCancelled, ToolCompleted, ToolProgress
from longrun.workflows.contract.messages import TextPart
from longrun.workflows.contract.requests import Finish
from longrun.workflows.contract.results import Finished
from longrun.workflows.contract.runs import Cancel, RunOrder
from longrun.workflows.policy import limits, outcomes
from longrun.workflows.transcript import paired
from tests.build import Stores
from tests.build import finish as end_of
from tests.harness import Handle, Harness, harnessed, order, unserved, worker
from tests.logcheck import check_log, of_type, settled_text
from tests.provider_fake import Gate, Turn, call, in_turn, reasoning, text, turn
from tests.tools import TOOLS, held, noted

pytestmark = pytest.mark.server

Way = Literal["signal", "temporal"]
WAYS: tuple[Way, ...] = ("signal", "temporal")
ENDS = turn("Done.")


async def stop(handle: Handle, way: Way) -> None:
    """Cancel a run."""
    if way == "signal":
        await handle.signal("cancel", Cancel(reason="enough", by="ann"))
    else:
        await handle.cancel()


@pytest.mark.parametrize("way", WAYS)
async def test_a_cancel_in_a_model_call_keeps_what_was_said(temporal: str, tmp_path: Path, way: Way) -> None:
    gate = Gate()
    said = turn(reasoning("hm"), call("c1", "look"), text("Half a ", gate, "sentence"))
    async with harnessed(temporal, tmp_path, in_turn(said), TOOLS) as harness:
        handle = await harness.start(order("look"))
        await gate.reached.wait()
        await stop(handle, way)
        outcome, events = await harness.ended(handle)
        kept = await harness.stores.messages_of(handle.id)
    assert (outcome.status, outcome.stop_reason) == ("cancelled", "cancelled")
    assert isinstance(events[-1], RunCancelled)
    assert (events[-1].reason, events[-1].by) == (("enough", "ann") if way == "signal" else (None, "temporal"))
    assert settled_text(events) == "Half a "
    (message,) = of_type(events, "message.completed")
    assert isinstance(message, MessageCompleted)
    assert message.finish_reason == "cancelled"
    assert [part.cut for part in kept[1].parts if isinstance(part, TextPart)] == [True]
    (result,) = of_type(events, "tool.completed")
    assert isinstance(result, ToolCompleted)
    assert result.status == "cancelled"
    assert paired(kept)[-1].role == "tool"


@pytest.mark.parametrize("way", WAYS)
async def test_a_cancel_in_a_silent_tool_answers_its_call(temporal: str, tmp_path: Path, way: Way) -> None:
    gate = Gate()
    script = in_turn(turn(call("c1", "hold"), call("c2", "look", {"what": "x"})), ENDS)
    async with harnessed(temporal, tmp_path, script, [held(gate), *TOOLS]) as harness:
        handle = await harness.start(order("hold", "look"))
        await gate.reached.wait()
        await stop(handle, way)
        outcome, events = await harness.ended(handle)
    assert outcome.status == "cancelled"
    answers = {event.call_id: event.status for event in events if isinstance(event, ToolCompleted)}
    assert answers["c1"] == "cancelled"
    assert [event.data for event in events if isinstance(event, ToolProgress)] == [{"attempt": 1, "nothing": None}]


@pytest.mark.parametrize("way", WAYS)
async def test_a_cancel_while_people_are_asked_ends_the_question(temporal: str, tmp_path: Path, way: Way) -> None:
    script = in_turn(turn(call("c1", "pay")), ENDS)
    async with harnessed(temporal, tmp_path, script, TOOLS) as harness:
        handle = await harness.start(order("pay"))
        await harness.phase(handle, "waiting")
        await stop(handle, way)
        outcome, events = await harness.ended(handle)
        (row,) = await harness.stores.approvals.find(run_id=handle.id)
        snapshot = await handle.query(AgentRun.status)
        assert noted(harness.settings.workspace_folder) == []
    assert outcome.status == "cancelled"
    assert row.status == "cancelled"
    assert (snapshot.phase, snapshot.pending) == ("finished", ())
    assert len(of_type(events, "tool.completed")) == 1


async def test_a_cancel_that_comes_with_the_start_asks_nobody(temporal: str, tmp_path: Path) -> None:
    async with unserved(temporal, tmp_path, in_turn(ENDS)) as harness:
        signalled = await harness.start(order(), start_signal="cancel", start_signal_args=[Cancel(by="ann")])
        requested = await harness.start(order())
        await requested.cancel()
        async with worker(harness):
            ends = [await harness.ended(handle) for handle in (signalled, requested)]
        assert harness.provider.requests == []
    assert [outcome.status for outcome, _ in ends] == ["cancelled", "cancelled"]
    assert [event.type for event in ends[0][1]] == ["run.accepted", "turn.ended", "run.cancelled"]


async def test_a_queued_run_that_is_cancelled_never_starts(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with harnessed(temporal, tmp_path, in_turn(turn(text("I ", gate, "am."))), TOOLS) as harness:
        first = await harness.start(order(thread_id="thread"))
        await gate.reached.wait()
        queued: RunOrder = order(thread_id="thread")
        await harness.stores.runs.accept(Acceptance(queued))
        cancelled = end_of(queued.run_id, outcomes.cancelled(Cancel()))
        assert await harness.stores.runs.finish_queued(cancelled, now())
        gate.open()
        await harness.ended(first)
        check_log(await harness.events(queued.run_id))
        assert len(harness.provider.requests) == 1


class _HeldEnd(LifecycleActivities):
    """Writes the end of a run only when a gate is open."""

    def __init__(self, harness: Harness, gate: Gate) -> None:
        stores: Stores = harness.stores
        super().__init__(
            stores.runs, stores.calls, stores.approvals, _start_nothing, _cancel_nothing, blobs=stores.blobs
        )
        self._gate = gate

    @override
    @activity.defn
    async def finish_run(self, finish: Finish) -> Finished:
        await self._gate.passed()
        return await super().finish_run(finish)


async def _cancel_nothing(_model: str, _response_id: str) -> None:
    raise AssertionError("no answer of a provider is to be cancelled")


async def _start_nothing(following: RunOrder) -> None:
    raise AssertionError(f"{following.run_id} must not be started")


async def test_a_cancel_that_comes_while_the_end_is_written_is_too_late(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with unserved(temporal, tmp_path, in_turn(ENDS)) as harness:
        others = [each for each in harness.process.activities if each.__name__ != "finish_run"]
        async with worker(harness, activities=[*others, _HeldEnd(harness, gate).finish_run]):
            handle = await harness.start(order())
            await gate.reached.wait()
            await stop(handle, "signal")
            await stop(handle, "temporal")
            await handle.signal("say", {"text": "still there?"})
            gate.open()
            outcome, events = await harness.ended(handle)
    assert outcome.stop_reason == "end_turn"
    assert events[-1].type == "run.completed"


HOLDS = Gate()


@pytest.mark.parametrize(
    "stuck",
    [turn(text("I ", HOLDS, "am.")), turn(call("c1", "hold")), turn(call("c1", "pay"))],
    ids=["in a model call", "in a tool", "while it waits"],
)
async def test_a_deadline_ends_a_run(temporal: str, tmp_path: Path, stuck: Turn) -> None:
    async with harnessed(temporal, tmp_path, in_turn(stuck), [held(HOLDS), *TOOLS]) as harness:
        handle = await harness.start(order("hold", "pay", deadline=1.0))
        outcome, _ = await harness.ended(handle)
    assert (outcome.status, outcome.stop_reason) == ("failed", "expired")


async def test_a_deadline_shorter_than_a_timer_can_be_has_passed_at_the_start(temporal: str, tmp_path: Path) -> None:
    async with harnessed(temporal, tmp_path, in_turn(ENDS)) as harness:
        handle = await harness.start(order(deadline=limits.SHORTEST_TIMER / 2))
        outcome, _ = await harness.ended(handle)
    assert (outcome.status, outcome.stop_reason) == ("failed", "expired")


async def test_a_tool_whose_worker_is_shut_down_runs_again_elsewhere(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with unserved(temporal, tmp_path, in_turn(turn(call("c1", "hold")), ENDS), [held(gate)]) as harness:
        async with worker(harness):
            handle = await harness.start(order("hold"))
            await gate.reached.wait()
        gate.open()
        async with worker(harness):
            outcome, events = await harness.ended(handle)
    assert outcome.status == "completed"
    reports = [event.data for event in events if isinstance(event, ToolProgress)]
    assert reports == [{"attempt": 1, "nothing": None}, {"attempt": 2, "nothing": None}]
    (result,) = of_type(events, "tool.completed")
    assert isinstance(result, ToolCompleted)
    assert (result.status, result.content, result.attempt) == ("ok", "let go", 2)


async def test_a_model_call_whose_worker_is_shut_down_is_asked_again(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with unserved(temporal, tmp_path, in_turn(turn(text("I ", gate, "am.")))) as harness:
        async with worker(harness):
            handle = await harness.start(order())
            await harness.seen(handle.id, "text.delta")
        gate.open()
        async with worker(harness):
            outcome, events = await harness.ended(handle)
    assert outcome.status == "completed"
    assert settled_text(events) == "I am."
    assert len(of_type(events, "attempt.superseded")) == 1


async def test_many_cancels_at_once_are_one(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with harnessed(temporal, tmp_path, in_turn(turn(call("c1", "hold")), ENDS), [held(gate)]) as harness:
        handle = await harness.start(order("hold"))
        await gate.reached.wait()
        await asyncio.gather(*(stop(handle, way) for way in (*WAYS, *WAYS)))
        outcome, _ = await harness.ended(handle)
    assert outcome.status == "cancelled"
