"""A run whose history grows long: it goes on in a new one and nobody notices."""

from pathlib import Path

import pytest

from longrun.activities.providers.provider import ModelRequest
from longrun.workflows.agent_run import AgentRun
from longrun.workflows.contract.events import ApprovalDecided, MessageReceived
from longrun.workflows.contract.runs import Cancel, Said
from tests.harness import harnessed, order
from tests.logcheck import of_type, settled_text
from tests.provider_fake import Gate, Turn, call, text, turn
from tests.tools import TOOLS, held, noted

pytestmark = pytest.mark.server

STEPS = 16


def long(request: ModelRequest) -> Turn:
    """Looks step by step, and pays before the last one."""
    if request.step == STEPS:
        return turn("Done.")
    if request.step == STEPS - 1:
        return turn(call("bill", "pay", {"amount": 3}))
    return turn(f"{request.step} ", call(f"c{request.step}", "look", {"what": "sea"}))


async def test_no_signal_is_lost_or_counted_twice_where_a_history_ends(impatient_temporal: str, tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(40)]
    async with harnessed(impatient_temporal, tmp_path, long, TOOLS) as harness:
        handle = await harness.start(order("look", "pay"))
        await handle.signal("decide", {"call_id": "bill", "decision": "approve", "by": "early"})
        for number, said in enumerate(texts):
            for _ in range(2):
                await handle.signal(AgentRun.say, Said(text=said, id=str(number)))
            await harness.events(handle.id)
        outcome, events = await harness.ended(handle)
        first = handle.first_execution_run_id
        last = (await harness.handle(handle.id).describe()).run_id
        assert noted(harness.settings.workspace_folder) == ["3"]
        prompted = [message.text for message in harness.provider.requests[-1].messages if message.role == "user"]
    assert outcome.stop_reason == "end_turn"
    assert first != last
    received = [event.message.text for event in events if isinstance(event, MessageReceived)]
    assert received == texts
    assert prompted == ["hello", *texts]
    assert [event.by for event in events if isinstance(event, ApprovalDecided)] == ["early"]
    assert settled_text(events).startswith("1 2 3 4 5 ")


async def test_a_later_part_of_a_run_still_knows_its_limits_and_turns(impatient_temporal: str, tmp_path: Path) -> None:
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
        await harness.handle(handle.id).signal(AgentRun.cancel, Cancel(by="ann"))
        outcome, events = await harness.ended(handle)
    assert (snapshot.step, snapshot.turn, snapshot.limits.max_steps) == (9, 2, 9)
    assert snapshot.usage.input_tokens == 90
    assert prompts == {"Be brief."}
    assert outcome.status == "cancelled"
    assert len(of_type(events, "step.started")) == 9


async def test_a_deadline_counts_from_the_first_history(impatient_temporal: str, tmp_path: Path) -> None:
    def script(request: ModelRequest) -> Turn:
        return turn(text(str(request.step)), call(f"c{request.step}", "look", {"what": "sea"}))

    async with harnessed(impatient_temporal, tmp_path, script, TOOLS) as harness:
        handle = await harness.start(order("look", deadline=4.0, max_steps=10_000))
        outcome, events = await harness.ended(handle)
        last = (await harness.handle(handle.id).describe()).run_id
    assert outcome.stop_reason == "expired"
    assert handle.first_execution_run_id != last
    assert len(of_type(events, "step.started")) > 5
