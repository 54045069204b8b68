"""A run whose history grows long: it goes on in a new execution and nobody notices."""

from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from longrun.activities.providers.provider import ModelRequest
from longrun.workflows.agent_run import AgentRun
from longrun.workflows.contract.events import ApprovalDecided, MessageReceived
from longrun.workflows.contract.runs import Cancel, Said
from tests.harness import Harness, harnessed, order, until
from tests.logcheck import of_type, settled_text
from tests.provider_fake import Gate, Turn, call, text, turn
from tests.tools import TOOLS, held, noted

pytestmark = pytest.mark.server

TEXTS = [f"text {number}" for number in range(40)]


def long(request: ModelRequest) -> Turn:
    """Looks step by step until the user has said everything, pays, and is done."""
    if request.messages[-1].role == "user" and request.messages[-1].text == TEXTS[-1]:
        return turn(call("bill", "pay", {"amount": 3}))
    if any(message.text == TEXTS[-1] for message in request.messages):
        return turn("Done.")
    return turn("Looking.", call(f"c{request.step}", "look", {"what": "sea"}))


async def test_no_signal_is_lost_or_counted_twice_where_a_history_ends(impatient_temporal: str, tmp_path: Path) -> None:
    async with harnessed(impatient_temporal, tmp_path, long, TOOLS) as harness:
        handle = await harness.start(order("look", "pay", max_steps=10_000))
        await handle.signal("decide", {"call_id": "bill", "decision": "approve", "by": "early"})
        for number, said in enumerate(TEXTS):
            for _ in range(1 if said == TEXTS[-1] else 2):  # the run may be over before the last one could be repeated
                await handle.signal("say", Said(text=said, id=str(number)))
            await until(partial(_requested, harness, number // 3), "the model to be asked once more")
        outcome, events = await harness.ended(handle)
        first = handle.first_execution_run_id
        last = (await harness.handle(handle.id).describe()).run_id
        assert noted(harness.settings.workspace_folder) == ["3"]
        prompted = [message.text for message in harness.provider.requests[-1].messages if message.role == "user"]
    assert outcome.stop_reason == "end_turn"
    assert first != last
    received = [event.message.text for event in events if isinstance(event, MessageReceived)]
    assert received == TEXTS
    assert prompted == ["hello", *TEXTS]
    assert [event.by for event in events if isinstance(event, ApprovalDecided)] == ["early"]
    looks = len(of_type(events, "step.started")) - 2
    assert settled_text(events) == "Looking." * looks + "Done."


async def _requested(harness: Harness, times: int) -> bool:
    return len(harness.provider.requests) > times


async def test_a_later_execution_still_knows_its_limits_and_turns(impatient_temporal: str, tmp_path: Path) -> None:
    gate = Gate()

    def script(request: ModelRequest) -> Turn:
        if request.step == 1:
            return turn(call("bill", "pay"))
        return turn(call(f"c{request.step}", "look", {"what": "sea"}) if request.step < 9 else call("c9", "hold"))

    tools = [held(gate), *TOOLS]
    async with harnessed(impatient_temporal, tmp_path, script, tools) as harness:
        handle = await harness.start(order("look", "pay", "hold", max_steps=9))
        await handle.signal("decide", {"call_id": "bill", "decision": "deny"})
        await harness.seen(handle.id, "tool.progress")
        snapshot = await harness.handle(handle.id).query(AgentRun.status)
        prompts = {request.system for request in harness.provider.requests}
        await harness.handle(handle.id).signal("cancel", Cancel(by="ann"))
        outcome, events = await harness.ended(handle)
    assert (snapshot.step, snapshot.turn, snapshot.limits.max_steps) == (9, 2, 9)
    assert snapshot.usage.input_tokens == 90
    assert prompts == {"Be brief."}
    assert outcome.status == "cancelled"
    assert len(of_type(events, "step.started")) == 9


async def test_a_deadline_counts_from_the_first_execution(impatient_temporal: str, tmp_path: Path) -> None:
    gate = Gate()

    def script(request: ModelRequest) -> Turn:
        name = "look" if request.step < 9 else "hold"
        return turn(text(str(request.step)), call(f"c{request.step}", name, {"what": "sea"} if name == "look" else {}))

    async with harnessed(impatient_temporal, tmp_path, script, [held(gate), *TOOLS]) as harness:
        given = order("look", "hold", deadline=3600.0)
        handle = await harness.start(given)
        await harness.seen(handle.id, "tool.progress")
        last = harness.handle(handle.id)
        assert (await last.describe()).run_id != handle.first_execution_run_id
        first = harness.client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
        assert abs(await _deadline(last) - await _deadline(first)) < timedelta(milliseconds=2)
        await last.signal("cancel", Cancel(by="ann"))
        await harness.ended(handle)


async def _deadline(handle: WorkflowHandle[Any, Any]) -> datetime:
    """When the timer of an execution goes off, counted from the time that its first task had for now."""
    events = (await handle.fetch_history()).events
    (now,) = [event.event_time for event in events if event.HasField("workflow_task_started_event_attributes")][:1]
    (timer,) = (event for event in events if event.HasField("timer_started_event_attributes"))
    return now.ToDatetime() + timer.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
