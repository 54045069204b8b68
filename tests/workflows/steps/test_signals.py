"""What anybody may send to a run: it goes on, says what it did not understand, and stays in its reviewers' hands."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.client import WorkflowUpdateFailedError

from longrun.workflows.contract.events import ApprovalDecided, SignalIgnored, ToolCompleted
from longrun.workflows.contract.messages import ToolCallPart
from longrun.workflows.inbox import MOST_NOTES
from tests.build import finish
from tests.harness import Harness, harnessed, order, unserved, until, worker
from tests.logcheck import of_type
from tests.provider_fake import Speech, call, in_turn, turn
from tests.tools import TOOLS, noted
from tests.workflows.steps.test_people import ENDS, PAYS, rebuilt_log

pytestmark = pytest.mark.server


async def test_signals_that_nobody_understands_change_nothing_and_are_named_in_the_log(
    temporal: str, tmp_path: Path
) -> None:
    async with harnessed(temporal, tmp_path, in_turn(PAYS, ENDS), TOOLS) as harness:
        handle = await harness.start(order("pay"))
        await harness.phase(handle, "waiting")
        for name in ("decide", "say", "nosuch"):
            await handle.signal(name)
        for name, given in (("decide", "approve"), ("decide", {"call_id": "c1"}), ("say", 5), ("cancel", 5)):
            await handle.signal(name, given)
        await handle.signal("decide", {"call_id": "c1", "decision": "edit", "arguments": {"amount": 1}})
        await handle.signal("decide", args=[{"call_id": "c1", "decision": "approve"}, 2])
        snapshot = await harness.phase(handle, "waiting")
        await handle.signal("decide", {"call_id": "c1", "decision": "approve"})
        outcome, events = await harness.ended(handle)
        assert await rebuilt_log(harness, handle.id) == events
        assert noted(harness.settings.workspace_folder) == ["5"]
    assert outcome.status == "completed"
    assert [pending.call_id for pending in snapshot.pending] == ["c1"]
    ignored = [event for event in events if isinstance(event, SignalIgnored)]
    assert sorted(event.signal for event in ignored) == ["cancel", *["decide"] * 5, "nosuch", "say", "say"]
    assert all(event.reason for event in ignored)


async def test_a_bare_cancel_ends_a_run(temporal: str, tmp_path: Path) -> None:
    async with harnessed(temporal, tmp_path, in_turn(PAYS, ENDS), TOOLS) as harness:
        handle = await harness.start(order("pay"))
        await harness.phase(handle, "waiting")
        await handle.signal("cancel")
        outcome, _ = await harness.ended(handle)
    assert outcome.status == "cancelled"


async def test_an_update_decides_what_waits_and_says_at_once_what_it_cannot_decide(
    temporal: str, tmp_path: Path
) -> None:
    pays_twice = turn(call("c1", "pay", {"amount": 5}), call("c2", "pay", {"amount": 6}))
    async with harnessed(temporal, tmp_path, in_turn(pays_twice, ENDS), TOOLS) as harness:
        handle = await harness.start(order("pay"))
        await harness.phase(handle, "waiting")
        await harness.seen(handle.id, "run.waiting")
        update = cast("Any", handle).execute_update
        for wrong in ({"call_id": "c9", "decision": "approve"}, {"call_id": "c1", "decision": "edit"}, "approve"):
            with pytest.raises(WorkflowUpdateFailedError):
                await update("decide", wrong)
        said = await update("decide", {"call_id": "c1", "decision": "approve", "by": "ann"})
        with pytest.raises(WorkflowUpdateFailedError):
            await update("decide", {"call_id": "c1", "decision": "deny", "by": "bob"})
        await update("decide", {"call_id": "c2", "decision": "deny", "by": "bob"})
        outcome, _ = await harness.ended(handle)
        assert noted(harness.settings.workspace_folder) == ["5"]
    assert said == "approve: c1"
    assert outcome.status == "completed"


async def test_what_cannot_be_noted_does_not_hold_up_the_run(temporal: str, tmp_path: Path) -> None:
    async with harnessed(temporal, tmp_path, in_turn(PAYS, ENDS), TOOLS) as harness:
        handle = await harness.start(order("pay"))
        await harness.phase(handle, "waiting")
        await harness.seen(handle.id, "run.waiting")
        await harness.stores.runs.finish(finish(handle.id), datetime.now(UTC))  # by somebody else
        await handle.signal("nosuch")
        await harness.phase(handle, "waiting")
        await handle.signal("cancel")
        outcome, events = await handle.result(), await harness.events(handle.id)
    assert outcome.status == "completed"  # the end that was written first
    assert of_type(events, "signal.ignored") == []


async def test_a_run_that_waits_takes_any_number_of_signals(impatient_temporal: str, tmp_path: Path) -> None:
    pays_twice = turn(call("c1", "pay", {"amount": 5}), call("c2", "pay", {"amount": 6}))
    async with harnessed(impatient_temporal, tmp_path, in_turn(pays_twice, turn("Done.")), TOOLS) as harness:
        handle = await harness.start(order("pay"))
        await harness.phase(handle, "waiting")
        await handle.signal("decide", {"call_id": "c2", "decision": "approve", "by": "first"})
        await harness.seen(handle.id, "approval.decided")
        current = harness.handle(handle.id)
        for number in range(300):
            await current.signal("decide", {"call_id": f"none {number}", "decision": "deny"})
            await current.signal("nosuch", number)
        await current.signal("say", {"text": "and then?"})
        await until(
            partial(_goes_on_in_another, harness, handle.id, handle.first_execution_run_id), "another execution"
        )
        await harness.phase(current, "waiting")
        await current.signal("decide", {"call_id": "c1", "decision": "approve", "by": "last"})
        outcome, events = await harness.ended(handle)
        assert await rebuilt_log(harness, handle.id) == events
        assert sorted(noted(harness.settings.workspace_folder)) == ["5", "6"]
        last = harness.provider.requests[-1].messages
    assert outcome.status == "completed"
    assert len(harness.provider.requests) == 2
    assert [message.text for message in last if message.role == "user"] == ["hello", "and then?"]
    assert len(of_type(events, "approval.requested")) == 1
    assert [event.by for event in events if isinstance(event, ApprovalDecided)] == ["first", "last"]
    assert len(of_type(events, "signal.ignored")) == MOST_NOTES


async def _goes_on_in_another(harness: Harness, run_id: str, first: str | None) -> bool:
    return (await harness.handle(run_id).describe()).run_id != first


async def test_a_run_that_has_gone_on_waiting_in_another_execution_can_be_cancelled(
    impatient_temporal: str, tmp_path: Path
) -> None:
    async with harnessed(impatient_temporal, tmp_path, in_turn(PAYS, ENDS), TOOLS) as harness:
        handle = await harness.start(order("pay"))
        await harness.phase(handle, "waiting")
        current = harness.handle(handle.id)
        for number in range(100):
            await current.signal("nosuch", number)
        await until(
            partial(_goes_on_in_another, harness, handle.id, handle.first_execution_run_id), "another execution"
        )
        await current.signal("cancel", {"by": "ann"})
        outcome, events = await harness.ended(handle)
        assert noted(harness.settings.workspace_folder) == []
    assert outcome.status == "cancelled"
    assert len(of_type(events, "approval.requested")) == 1


async def test_an_activity_that_is_completed_by_hand_is_performed_again(temporal: str, tmp_path: Path) -> None:
    async with unserved(temporal, tmp_path, in_turn(turn("Hello"))) as harness:
        lifecycle = [each for each in harness.process.activities if each.__name__ != "call_model"]
        async with worker(harness, activities=lifecycle):  # nobody performs it yet
            handle = await harness.start(order())
            await harness.phase(handle, "model")
            by_hand = harness.client.get_async_activity_handle(workflow_id=handle.id, run_id=None, activity_id="1")
            await by_hand.complete({"nothing": "of ours"})
            await until(partial(_asks_again, harness, handle.id), "the model to be asked again")
        async with worker(harness):
            outcome, events = await harness.ended(handle)
        assert await rebuilt_log(harness, handle.id) == events
    assert outcome.status == "completed"


async def _asks_again(harness: Harness, run_id: str) -> bool:
    found = await harness.handle(run_id).describe()
    return any(pending.activity_id != "1" for pending in found.raw_description.pending_activities)


async def test_a_call_that_the_models_limit_has_cut_is_answered_and_the_model_goes_on_once(
    temporal: str, tmp_path: Path
) -> None:
    cut = Speech(ToolCallPart(call_id="c1", name="pay", arguments="", cut=True), ('{"amount"', ": 5"))
    script = in_turn(turn(cut, finish="length"), turn("Shorter, then."))
    async with harnessed(temporal, tmp_path, script, TOOLS) as harness:
        handle = await harness.start(order("pay"))
        outcome, events = await harness.ended(handle)
        assert await rebuilt_log(harness, handle.id) == events
        sent = harness.provider.requests[1].messages
    assert (outcome.status, outcome.stop_reason) == ("completed", "end_turn")
    assert [message.role for message in sent] == ["user", "assistant", "tool"]
    assert [event.status for event in events if isinstance(event, ToolCompleted)] == ["error"]
