"""Whatever a model or a tool writes: the run goes on, its history takes it, and its log can be made anew from that."""

from pathlib import Path

import pytest

from longrun.activities.plans import MOST_CALLS, TOO_MANY
from longrun.activities.toolbox.registry import tool
from longrun.activities.toolbox.tool import ToolContext
from longrun.activities.tools import LARGEST_REPORT
from longrun.store.db.sql import run_sql
from longrun.workflows.contract.events import ApprovalRequested, Event, ToolCompleted, ToolProgress
from longrun.workflows.contract.messages import OpaquePart
from tests.harness import Harness, harnessed, order
from tests.logcheck import of_type
from tests.provider_fake import Gate, Turn, call, in_turn, reasoning, text, turn
from tests.tools import TOOLS, held, noted
from tests.workflows.steps.test_people import rebuilt_log

pytestmark = pytest.mark.server

CHINESE = text(*["漢" * 10_000] * 90)


@tool(effect="write", return_char_limit=250_000)
async def shout(context: ToolContext, times: int, size: int) -> str:
    """Report a lot, and return control characters."""
    for _ in range(times):
        await context.progress("w" * size)
    return "\x01" * 240_000


async def largest_payload(harness: Harness, run_id: str) -> int:
    """The bytes of the largest event of a history."""
    history = await harness.handle(run_id).fetch_history()
    return max(len(event.SerializeToString()) for event in history.events)


@pytest.mark.parametrize(
    "said",
    [
        turn(CHINESE),
        turn(reasoning(*["漢" * 10_000] * 90), "So."),
        turn(text(*['"\n' * 5_000] * 90)),
        turn(OpaquePart(opaque={"type": "redacted_thinking", "data": "x" * 3_000_000}), "So."),
    ],
    ids=["Chinese", "reasoning", "escapes", "hidden"],
)
async def test_a_large_message(temporal: str, tmp_path: Path, said: Turn) -> None:
    async with harnessed(temporal, tmp_path, in_turn(said)) as harness:
        handle = await harness.start(order())
        outcome, events = await harness.ended(handle)
        assert await rebuilt_log(harness, handle.id) == events
        assert await largest_payload(harness, handle.id) < 1_000_000
    assert outcome.status == "completed"


async def test_a_call_with_large_arguments_waits_and_is_run_with_all_of_them(temporal: str, tmp_path: Path) -> None:
    arguments = '{"amount": 5' + " " * 900_000 + "}"
    script = in_turn(turn(call("c1", "pay", arguments)), turn("Done."))
    async with harnessed(temporal, tmp_path, script, TOOLS) as harness:
        handle = await harness.start(order("pay"))
        await harness.phase(handle, "waiting")
        await handle.signal("decide", {"call_id": "c1", "decision": "approve"})
        _, events = await harness.ended(handle)
        assert await rebuilt_log(harness, handle.id) == events
        assert await largest_payload(harness, handle.id) < 1_100_000
        assert noted(harness.settings.workspace_folder) == ["5"]
    (prompted,) = [event for event in events if isinstance(event, ApprovalRequested)]
    assert prompted.calls[0].arguments.endswith(f"of {len(arguments)} characters]")


@pytest.mark.parametrize(("times", "size"), [(60, 50_000), (1, 3_000_000), (40, 250_000)])
async def test_a_tool_that_says_a_lot(temporal: str, tmp_path: Path, times: int, size: int) -> None:
    script = in_turn(turn(call("c1", "shout", {"times": times, "size": size})), turn("Done."))
    async with harnessed(temporal, tmp_path, script, [shout]) as harness:
        handle = await harness.start(order("shout"))
        outcome, events = await harness.ended(handle)
        assert await rebuilt_log(harness, handle.id) == events
        assert await largest_payload(harness, handle.id) < 400_000
    reports = [event for event in events if isinstance(event, ToolProgress)]
    assert outcome.status == "completed"
    assert 1 <= len(reports) <= times
    assert all(len(str(report.data)) <= LARGEST_REPORT for report in reports)


async def test_a_run_that_is_cancelled_while_a_tool_has_said_a_lot(temporal: str, tmp_path: Path) -> None:
    gate = Gate()

    @tool(effect="write")
    async def report(context: ToolContext) -> str:
        """Report a lot, and wait."""
        for _ in range(30):
            await context.progress("w" * 100_000)
        await gate.passed()
        return ""

    script = in_turn(turn(call("c1", "report")))
    async with harnessed(temporal, tmp_path, script, [report]) as harness:
        handle = await harness.start(order("report"))
        await gate.reached.wait()
        await handle.signal("cancel")
        outcome, events = await harness.ended(handle)
        assert await rebuilt_log(harness, handle.id) == events
    assert outcome.status == "cancelled"
    assert len(of_type(events, "tool.progress")) == 30


async def test_more_calls_than_a_run_makes_at_once(temporal: str, tmp_path: Path) -> None:
    calls = [call(f"c{number}", "look", {"what": str(number)}) for number in range(MOST_CALLS + 150)]
    async with harnessed(temporal, tmp_path, in_turn(turn(*calls), turn("Done.")), TOOLS) as harness:
        handle = await harness.start(order("look"))
        outcome, events = await harness.ended(handle)
        assert await rebuilt_log(harness, handle.id) == events
    ends = [event.content for event in events if isinstance(event, ToolCompleted)]
    assert outcome.status == "completed"
    assert len(ends) == len(calls)
    assert ends.count(TOO_MANY) == 150


async def test_a_log_whose_blobs_are_lost_has_gaps_and_its_run_is_whole_otherwise(
    temporal: str, tmp_path: Path
) -> None:
    shouts = call("c1", "shout", {"times": 3, "size": 100_000})
    async with harnessed(temporal, tmp_path, in_turn(turn(CHINESE, shouts), turn("Done.")), [shout]) as harness:
        handle = await harness.start(order("shout"))
        _, events = await harness.ended(handle)
        await harness.stores.database.write(lambda tx: run_sql(tx, "DELETE FROM blobs"))
        rebuilt = await rebuilt_log(harness, handle.id)
    kept = {event.seq: event for event in rebuilt}
    lost = [event for event in events if event.seq not in kept]
    assert {event.type for event in lost} == {
        *("text.delta", "text.completed", "tool_call.delta", "tool_call.completed", "tool.progress")
    }
    assert [_without_content(event) for event in events if event.seq in kept] == list(map(_without_content, rebuilt))


def _without_content(event: Event) -> dict[str, object]:
    return event.model_dump(exclude={"content", "arguments"})


async def test_a_call_that_is_held_does_not_hold_up_those_of_another_tool(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    script = in_turn(turn(call("c1", "hold"), call("c2", "look", {"what": "sea"})), turn("Done."))
    async with harnessed(temporal, tmp_path, script, [held(gate), *TOOLS]) as harness:
        handle = await harness.start(order("hold", "look"))
        await gate.reached.wait()
        await harness.seen(handle.id, "tool.completed")
        gate.open()
        outcome, _ = await harness.ended(handle)
    assert outcome.status == "completed"
