"""A run that asks people: before its calls, and in between."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from longrun.gateway.history.rebuilder import Rebuilder
from longrun.workflows.agent_run import AgentRun
from longrun.workflows.contract.events import (
    ApprovalDecided,
    ApprovalRequested,
    Event,
    MessageReceived,
    RunFailed,
    ToolCompleted,
    ToolStarted,
    TurnEnded,
)
from longrun.workflows.contract.requests import Verdicts
from longrun.workflows.contract.runs import Cancel, Decision, Said
from longrun.workflows.search_attributes import AGENT_NAME, RUN_STATUS, STOP_REASON, THREAD_ID
from tests.harness import Harness, harnessed, order
from tests.logcheck import of_type, parsed
from tests.provider_fake import Gate, call, in_turn, text, turn
from tests.tools import TOOLS, held, noted

pytestmark = pytest.mark.server

PAYS = turn("I pay.", call("c1", "pay", {"amount": 5}))
PAYS_TWICE = turn(call("c1", "pay", {"amount": 1}), call("c2", "pay", {"amount": 2}), call("c3", "look", {"what": "x"}))
ENDS = turn("Done.")


@pytest.mark.parametrize(
    ("said", "answered", "paid"),
    [
        ({"decision": "approve"}, ("ok", "paid 5"), ["5"]),
        ({"decision": "edit", "args": {"amount": 2}}, ("ok", "paid 2"), ["2"]),
        ({"decision": "answer", "answer": "ask again tomorrow"}, ("ok", "ask again tomorrow"), []),
        ({"decision": "deny"}, ("denied", "A reviewer denied this call."), []),
        ({"decision": "deny", "reason": "too much"}, ("denied", "A reviewer denied this call. Reason: too much"), []),
    ],
)
async def test_a_decision_says_what_becomes_of_a_call(
    temporal: str, tmp_path: Path, said: dict[str, Any], answered: tuple[str, str], paid: list[str]
) -> None:
    async with harnessed(temporal, tmp_path, in_turn(PAYS, ENDS), TOOLS) as harness:
        handle = await harness.start(order("pay"))
        snapshot = await harness.phase(handle, "waiting")
        await harness.seen(handle.id, "run.waiting")
        waiting = await harness.row(handle.id)
        await handle.signal("decide", {"call_id": "c1", "by": "ann", **said})
        outcome, events = await harness.ended(handle)
        spent = noted(harness.settings.workspace_folder)
    assert [call.call_id for call in snapshot.pending] == ["c1"]
    assert snapshot.expires_at is not None
    assert waiting.status == "waiting"
    assert outcome.status == "completed"
    assert spent == paid
    (result,) = of_type(events, "tool.completed")
    assert isinstance(result, ToolCompleted)
    assert (result.status, result.content) == answered
    (decided,) = of_type(events, "approval.decided")
    assert isinstance(decided, ApprovalDecided)
    assert (decided.by, decided.decision) == ("ann", said["decision"])


async def test_an_edited_call_is_logged_with_the_arguments_it_ran_with(temporal: str, tmp_path: Path) -> None:
    async with harnessed(temporal, tmp_path, in_turn(PAYS, ENDS), TOOLS) as harness:
        handle = await harness.start(order("pay"))
        await handle.signal("decide", Decision(call_id="c1", decision="edit", args={"amount": 7}))
        _, events = await harness.ended(handle)
        assert await rebuilt_log(harness, handle.id) == events
    (started,) = of_type(events, "tool.started")
    assert isinstance(started, ToolStarted)
    assert (started.arguments, started.original) == ('{"amount":7}', '{"amount": 5}')
    (sent,) = harness.provider.requests[1].messages[1].calls
    assert sent.arguments == '{"amount":7}'


@pytest.mark.parametrize(
    ("approval", "asks"),
    [
        (None, True),
        ("always", True),
        ("never", True),
        ({"when": [{"argument": "amount", "operator": "greater", "value": 4}]}, True),
        ({"when": [{"argument": "amount", "operator": "greater", "value": 5}]}, True),
    ],
)
async def test_the_agent_may_not_have_a_tool_ask_less_often_than_it_says(
    temporal: str, tmp_path: Path, approval: object, asks: bool
) -> None:
    async with harnessed(temporal, tmp_path, in_turn(PAYS, ENDS), TOOLS) as harness:
        handle = await harness.start(order({"name": "pay", "approval": approval}))
        await handle.signal("decide", {"call_id": "c1", "decision": "approve"})
        _, events = await harness.ended(handle)
    assert bool(of_type(events, "approval.requested")) is asks


async def test_a_call_without_arguments_asks_too(temporal: str, tmp_path: Path) -> None:
    async with harnessed(temporal, tmp_path, in_turn(turn(call("c1", "pay", "")), ENDS), TOOLS) as harness:
        handle = await harness.start(order("pay"))
        await harness.phase(handle, "waiting")
        await handle.signal("decide", {"call_id": "c1", "decision": "approve"})
        await harness.ended(handle)
        assert noted(harness.settings.workspace_folder) == ["1"]


async def test_a_decision_that_comes_before_its_call_is_kept(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    script = in_turn(turn(text("I", gate, " pay."), call("c1", "pay")), ENDS)
    async with harnessed(temporal, tmp_path, script, TOOLS) as harness:
        handle = await harness.start(order("pay"))
        await gate.reached.wait()
        await handle.signal("decide", {"call_id": "c1", "decision": "approve"})
        await handle.signal("decide", {"call_id": "nobody's", "decision": "approve"})
        gate.open()
        _, events = await harness.ended(handle)
    assert [event.type for event in events if event.type.startswith("approval.")] == [
        "approval.requested",
        "approval.decided",
    ]


async def test_the_first_decision_counts_and_the_tool_runs_once(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    script = in_turn(PAYS, turn(text("Done", gate, ".")))
    async with harnessed(temporal, tmp_path, script, TOOLS) as harness:
        handle = await harness.start(order("pay"))
        await harness.phase(handle, "waiting")
        for decision in ("approve", "approve", "deny"):
            await handle.signal("decide", {"call_id": "c1", "decision": decision})
        await gate.reached.wait()
        await handle.signal("decide", {"call_id": "c1", "decision": "deny", "reason": "late"})
        gate.open()
        _, events = await harness.ended(handle)
        assert noted(harness.settings.workspace_folder) == ["5"]
    assert len(of_type(events, "approval.decided")) == 1


async def test_the_calls_of_a_message_are_decided_one_by_one_and_then_all_run(temporal: str, tmp_path: Path) -> None:
    async with harnessed(temporal, tmp_path, in_turn(PAYS_TWICE, ENDS), TOOLS) as harness:
        handle = await harness.start(order("pay", "look"))
        await harness.phase(handle, "waiting")
        await handle.signal("decide", {"call_id": "c2", "decision": "approve"})
        await harness.seen(handle.id, "approval.decided")
        between = await handle.query(AgentRun.status)
        nothing_yet = of_type(await harness.events(handle.id), "tool.started")
        await handle.signal("decide", {"call_id": "c1", "decision": "deny"})
        _, events = await harness.ended(handle)
    (requested,) = of_type(events, "approval.requested")
    assert isinstance(requested, ApprovalRequested)
    assert [waiting.call_id for waiting in requested.calls] == ["c1", "c2"]
    assert (between.phase, [decided.call_id for decided in between.decided]) == ("waiting", ["c2"])
    assert nothing_yet == []
    assert [event.call_id for event in events if isinstance(event, ApprovalDecided)] == ["c2", "c1"]
    assert {event.call_id for event in events if isinstance(event, ToolStarted)} == {"c2", "c3"}
    assert [event.turn for event in events if isinstance(event, TurnEnded)] == [1, 2]


async def test_nobody_deciding_in_time_ends_the_run(temporal: str, tmp_path: Path) -> None:
    async with harnessed(temporal, tmp_path, in_turn(PAYS_TWICE, ENDS), TOOLS) as harness:
        handle = await harness.start(order("pay", "look", approval_timeout=1.0))
        await handle.signal("decide", {"call_id": "c1", "decision": "approve"})
        outcome, events = await harness.ended(handle)
        rows = await harness.stores.approvals.find(run_id=handle.id)
    assert (outcome.status, outcome.stop_reason) == ("failed", "expired")
    assert isinstance(events[-1], RunFailed)
    assert {row.call_id: row.status for row in rows} == {"c1": "approved", "c2": "expired"}
    expired = [event.content for event in events if isinstance(event, ToolCompleted) and event.call_id == "c2"]
    assert expired == ["Nobody approved this call in time."]


async def test_a_call_that_expired_in_the_log_is_not_run_by_a_decision_that_came_before_history_knew(
    temporal: str, tmp_path: Path
) -> None:
    async with harnessed(temporal, tmp_path, in_turn(PAYS, ENDS), TOOLS) as harness:
        handle = await harness.start(order("pay"))
        await harness.seen(handle.id, "run.waiting")
        # As if the worker had died after it had written this, and before it could say so.
        expired = Verdicts(run_id=handle.id, step=1, turn=1, expired=("c1",), resume=True)
        await harness.stores.approvals.record(expired, datetime.now(UTC))
        await handle.signal("decide", {"call_id": "c1", "decision": "approve"})
        outcome, events = await harness.ended(handle)
        assert noted(harness.settings.workspace_folder) == []
        assert await rebuilt_log(harness, handle.id) == events
    assert (outcome.status, outcome.stop_reason) == ("failed", "expired")
    assert of_type(events, "approval.decided") == []


async def test_a_decision_that_is_in_the_log_is_followed_though_its_time_has_run_out(
    temporal: str, tmp_path: Path
) -> None:
    async with harnessed(temporal, tmp_path, in_turn(PAYS_TWICE, ENDS), TOOLS) as harness:
        handle = await harness.start(order("pay", "look", approval_timeout=1.0))
        await harness.seen(handle.id, "run.waiting")
        decisions = [
            Decision(call_id="c1", decision="edit", args={"amount": 3}),
            Decision(call_id="c2", decision="deny"),
        ]
        decided = Verdicts(run_id=handle.id, step=1, turn=1, decisions=tuple(decisions), resume=True)
        await harness.stores.approvals.record(decided, datetime.now(UTC))
        outcome, events = await harness.ended(handle)
        assert noted(harness.settings.workspace_folder) == ["3"]
        assert await rebuilt_log(harness, handle.id) == events
    assert outcome.status == "completed"
    assert of_type(events, "approval.expired") == []


async def rebuilt_log(harness: Harness, run_id: str) -> list[Event]:
    """The log as it is rebuilt from Temporal's history."""
    rebuilder = Rebuilder(harness.client, harness.stores.database, harness.stores.runs, harness.stores.log)
    rebuilt = await rebuilder.rebuild(run_id)
    assert rebuilt is not None
    return parsed(rebuilt.lines[seq] for seq in sorted(rebuilt.lines))


async def test_the_web_ui_shows_who_waits(temporal: str, tmp_path: Path) -> None:
    async with harnessed(temporal, tmp_path, in_turn(PAYS, ENDS), TOOLS) as harness:
        handle = await harness.start(order("pay"))
        await harness.phase(handle, "waiting")
        await harness.seen(handle.id, "run.waiting")
        waiting = (await handle.describe()).typed_search_attributes
        await handle.signal("cancel", Cancel())
        await harness.ended(handle)
        ended = (await handle.describe()).typed_search_attributes
    assert (waiting[RUN_STATUS], waiting[AGENT_NAME], waiting[THREAD_ID]) == ("waiting", "helper", handle.id)
    assert (ended[RUN_STATUS], ended[STOP_REASON]) == ("cancelled", "cancelled")


async def test_what_is_said_during_a_step_joins_at_the_next_once(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    script = in_turn(turn(call("c1", "hold")), ENDS)
    async with harnessed(temporal, tmp_path, script, [held(gate)]) as harness:
        handle = await harness.start(order("hold"))
        await gate.reached.wait()
        for _ in range(2):
            await handle.signal("say", Said(text="faster", by="ann", id="s1"))
        await handle.signal("say", {"text": "please"})
        await handle.query(AgentRun.status)
        gate.open()
        _, events = await harness.ended(handle)
        seen = [message.text for message in harness.provider.requests[1].messages if message.role == "user"]
    assert seen == ["hello", "faster", "please"]
    received = [event for event in events if isinstance(event, MessageReceived)]
    assert [(event.step, event.by) for event in received] == [(2, "ann"), (2, "unknown")]


async def test_what_is_said_during_the_last_answer_is_answered_too(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    script = in_turn(turn(text("Good", gate, "bye.")), turn("One more thing."))
    async with harnessed(temporal, tmp_path, script) as harness:
        handle = await harness.start(order())
        await gate.reached.wait()
        await handle.signal("say", {"text": "wait"})
        await handle.query(AgentRun.status)
        gate.open()
        outcome, events = await harness.ended(handle)
        seen = [(message.role, message.text) for message in harness.provider.requests[1].messages]
    assert outcome.stop_reason == "end_turn"
    assert seen == [("user", "hello"), ("assistant", "Goodbye."), ("user", "wait")]
    assert len(of_type(events, "step.started")) == 2
