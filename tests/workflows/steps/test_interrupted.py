"""A run whose calls were interrupted: nothing happens twice unless a person says so."""

from pathlib import Path
from typing import Any

import pytest

from longrun.activities.tools import INTERRUPTED
from longrun.gateway.history.reader import HistoryReader
from longrun.gateway.service.reviews import Reviews, Ruling
from longrun.gateway.service.workflows import Workflows
from longrun.workflows.contract.agents import OnInterrupt
from longrun.workflows.contract.events import ApprovalDecided, ApprovalRequested, Event, ToolCompleted, TurnEnded
from longrun.workflows.contract.runs import Cancel, Decision, PendingApproval
from longrun.workflows.policy.interruption import CHOICES, NOT_AGAIN, NOT_DECIDED
from tests.harness import Handle, Harness, harnessed, order, until
from tests.logcheck import of_type
from tests.provider_fake import call, in_turn, turn
from tests.tools import look, noted, snapping

pytestmark = pytest.mark.server

SNAPS = turn(call("c1", "snap", {"what": "twig"}), call("c2", "look", {"what": "sea"}))
SNAPS_TWICE = turn(call("c1", "snap"), call("c2", "snap", {"what": "branch"}))
ENDS = turn("Done.")


def result(events: list[Event], call_id: str = "c1") -> ToolCompleted:
    """The result of a call."""
    (found,) = (event for event in events if isinstance(event, ToolCompleted) and event.call_id == call_id)
    return found


async def question(harness: Harness, handle: Handle, turn: int = 1) -> PendingApproval:
    """What the run asks at the end of a turn."""

    async def look() -> PendingApproval | None:
        snapshot = await harness.phase(handle, "waiting")
        return snapshot.pending[0] if snapshot.turn == turn and len(snapshot.pending) == 1 else None

    return await until(look, f"a question at the end of turn {turn}")


@pytest.mark.parametrize(
    ("said", "answered", "snapped"),
    [
        ({"decision": "approve"}, ("ok", "snapped twig at attempt 2"), ["twig c1", "twig c1"]),
        (
            {"decision": "edit", "args": {"what": "branch"}},
            ("ok", "snapped branch at attempt 2"),
            ["twig c1", "branch c1"],
        ),
        ({"decision": "deny"}, ("error", NOT_AGAIN), ["twig c1"]),
        ({"decision": "answer", "answer": "it snapped"}, ("ok", "it snapped"), ["twig c1"]),
    ],
)
async def test_a_person_says_what_becomes_of_an_interrupted_call(
    temporal: str, tmp_path: Path, said: dict[str, Any], answered: tuple[str, str], snapped: list[str]
) -> None:
    async with harnessed(temporal, tmp_path, in_turn(SNAPS, ENDS), [look, snapping()]) as harness:
        handle = await harness.start(order("snap", "look"))
        pending = await question(harness, handle)
        for _ in range(2):
            await handle.signal("decide", {"call_id": "c1~2", "by": "ann", **said})
        outcome, events = await harness.ended(handle)
        rows = await harness.stores.approvals.find(run_id=handle.id)
        notes = noted(harness.settings.workspace_folder)
    assert (pending.call_id, pending.interrupted, pending.name) == ("c1~2", "c1", "snap")
    assert pending.reason == f"attempt 1 was interrupted, because its worker died or was shut down. {CHOICES}"
    assert outcome.stop_reason == "end_turn"
    assert (result(events).status, result(events).content) == answered
    assert result(events, "c2").content == "saw sea"
    assert notes == snapped
    assert [event.stop_reason for event in events if isinstance(event, TurnEnded)] == ["requires_approval", "end_turn"]
    assert [(row.call_id, row.interrupted) for row in rows] == [("c1~2", "c1")]


async def test_an_approval_from_before_does_not_answer_whether_to_run_again(temporal: str, tmp_path: Path) -> None:
    tools = [snapping(2, approval="always")]
    async with harnessed(temporal, tmp_path, in_turn(turn(call("c1", "snap")), ENDS), tools) as harness:
        handle = await harness.start(order("snap"))
        for number, name in enumerate(("c1", "c1~2", "c1~3"), 1):
            pending = await question(harness, handle, number)
            assert pending.call_id == name
            assert len(noted(harness.settings.workspace_folder)) == number - 1
            for _ in range(2):
                await handle.signal("decide", {"call_id": name, "decision": "approve"})
        _, events = await harness.ended(handle)
        assert noted(harness.settings.workspace_folder) == ["twig c1"] * 3
    assert result(events).content == "snapped twig at attempt 3"
    assert [event.call_id for event in events if isinstance(event, ApprovalDecided)] == ["c1", "c1~2", "c1~3"]


async def test_all_interrupted_calls_of_a_message_are_asked_about_at_once(temporal: str, tmp_path: Path) -> None:
    async with harnessed(temporal, tmp_path, in_turn(SNAPS_TWICE, ENDS), [snapping()]) as harness:
        handle = await harness.start(order("snap"))
        await harness.phase(handle, "waiting")
        await handle.signal("decide", {"call_id": "c2~2", "decision": "approve"})
        await handle.signal("decide", {"call_id": "c1~2", "decision": "deny", "reason": "one is enough"})
        _, events = await harness.ended(handle)
        notes = noted(harness.settings.workspace_folder)
    (requested,) = of_type(events, "approval.requested")
    assert isinstance(requested, ApprovalRequested)
    assert [pending.call_id for pending in requested.calls] == ["c1~2", "c2~2"]
    assert result(events, "c1").content == f"{NOT_AGAIN} Reason: one is enough"
    assert result(events, "c2").content == "snapped branch at attempt 2"
    assert sorted(notes) == ["branch c2", "branch c2", "twig c1"]


async def test_a_reviewer_at_the_command_line_decides_on_an_interrupted_call_once(
    temporal: str, tmp_path: Path
) -> None:
    async with harnessed(temporal, tmp_path, in_turn(SNAPS, ENDS), [look, snapping()]) as harness:
        handle = await harness.start(order("snap", "look"))
        await question(harness, handle)
        reviews = Reviews(Workflows(harness.client), HistoryReader(harness.client))
        (pending,) = (await reviews.of_run(handle.id)).pending
        decisions = [Decision(call_id=pending.call_id, decision="approve", by=who, id=who) for who in ("ann", "bob")]
        rulings = [await reviews.decide(handle.id, decision) for decision in decisions]
        await harness.ended(handle)
        assert noted(harness.settings.workspace_folder) == ["twig c1"] * 2
    assert rulings == [Ruling("counts", decisions[0]), Ruling("late", decisions[0])]


async def test_nobody_deciding_on_an_interrupted_call_ends_the_run(temporal: str, tmp_path: Path) -> None:
    async with harnessed(temporal, tmp_path, in_turn(SNAPS_TWICE), [snapping(2)]) as harness:
        handle = await harness.start(order("snap", approval_timeout=1.0))
        await handle.signal("decide", {"call_id": "c1~2", "decision": "approve"})
        outcome, events = await harness.ended(handle)
        notes = noted(harness.settings.workspace_folder)
    assert (outcome.status, outcome.stop_reason) == ("failed", "expired")
    assert {result(events, name).content for name in ("c1", "c2")} == {NOT_DECIDED}
    assert sorted(notes) == ["branch c2", "twig c1", "twig c1"]
    assert len(of_type(events, "approval.requested")) == 1


async def test_a_run_that_is_cancelled_while_it_asks_says_that_the_call_may_have_had_its_effect(
    temporal: str, tmp_path: Path
) -> None:
    async with harnessed(temporal, tmp_path, in_turn(SNAPS), [look, snapping()]) as harness:
        handle = await harness.start(order("snap", "look"))
        await question(harness, handle)
        await handle.signal("cancel", Cancel(by="ann"))
        _, events = await harness.ended(handle)
    assert result(events).status == "cancelled"
    assert "may have had its effect" in result(events).content


@pytest.mark.parametrize(
    ("policy", "answered", "times"),
    [("retry", ("ok", "snapped twig at attempt 2"), 2), ("fail", ("error", INTERRUPTED), 1)],
)
async def test_a_tool_may_say_that_nobody_is_to_be_asked(
    temporal: str, tmp_path: Path, policy: OnInterrupt, answered: tuple[str, str], times: int
) -> None:
    tools = [look, snapping(on_interrupted=policy)]
    async with harnessed(temporal, tmp_path, in_turn(SNAPS, ENDS), tools) as harness:
        _, events = await harness.ended(await harness.start(order("snap", "look")))
        assert noted(harness.settings.workspace_folder) == ["twig c1"] * times
    assert (result(events).status, result(events).content) == answered
    assert of_type(events, "approval.requested") == []
