"""The rows that a result leaves in the tables: the one place that writes them.

The activity that has made a result calls ``apply``, and so do the rebuild that has read it from history and the reset
that applies again what still stands.
"""

from datetime import datetime
from functools import singledispatch

from longrun.store.db.database import Tx
from longrun.store.db.sql import insert_into, run_sql
from longrun.store.messages import insert_message, last_answer
from longrun.store.turns import begin_turn, end_turn
from longrun.workflows import record
from longrun.workflows.contract.messages import Message, ToolResultPart
from longrun.workflows.contract.requests import Verdicts
from longrun.workflows.contract.results import (
    CallStarted,
    Failed,
    Finished,
    Ignored,
    ModelReply,
    Paused,
    Progress,
    Recorded,
    Result,
    Rewound,
    StepOpened,
    Superseded,
    ToolOutcome,
)
from longrun.workflows.contract.runs import Decision, PendingApproval, RunOrder

_STATUS = {"approve": "approved", "deny": "denied", "edit": "edited", "answer": "answered"}


def apply_order(tx: Tx, order: RunOrder) -> None:
    """Write the rows of an accepted run beside its own: its first turn, and its input."""
    begin_turn(tx, order.run_id, 1, record.turn_id(order.run_id, 1, order.accepted_at), 1)
    insert_message(tx, order.run_id, (0, 0), order.input)


@singledispatch
def apply(result: Result, tx: Tx, run_id: str, last: int) -> None:  # noqa: ARG001 - what its kinds take
    """Write the rows of a result whose events end at seq ``last``; the results before it have been applied."""
    raise TypeError(f"{type(result).__name__} has no rows")


@apply.register(Superseded)
@apply.register(Failed)
@apply.register(CallStarted)
@apply.register(Progress)
@apply.register(Ignored)
def _journal_only(
    _result: Superseded | Failed | CallStarted | Progress | Ignored, _tx: Tx, _run_id: str, _last: int
) -> None:
    """What the journal and the log alone keep."""


@apply.register
def _(result: StepOpened, tx: Tx, run_id: str, _last: int) -> None:
    step, attempt = result.step, result.attempt
    insert_into(tx, "steps", run_id=run_id, step=step, attempt=attempt, author=attempt, closed=False)
    for index, said in enumerate(result.said):
        insert_message(tx, run_id, (step, index), record.said_message(run_id, step, index, said))
        run_sql(tx, "UPDATE outbox SET received = TRUE WHERE key = ?", record.say_key(run_id, said))
    run_sql(
        tx,
        "UPDATE runs SET step = ?, status = CASE status WHEN 'queued' THEN 'running' ELSE status END,"
        " dispatched = TRUE, started_at = COALESCE(started_at, ?) WHERE id = ?",
        step,
        result.stamp.at,
        run_id,
    )


@apply.register
def _(result: ModelReply, tx: Tx, run_id: str, _last: int) -> None:
    position = len(result.opened.said)
    insert_message(tx, run_id, (result.step, position), result.message)
    for index, call in enumerate(result.calls, position + 1):
        # After a reset the ledger may know the call already, and how often it was attempted.
        add = (
            "INSERT INTO calls (run_id, call_id, step, position, name, arguments, attempt, closed)"
            " VALUES (?, ?, ?, ?, ?, ?, 0, FALSE) ON CONFLICT DO NOTHING"
        )
        run_sql(tx, add, run_id, call.call_id, result.step, index, call.name, call.arguments)
    close = "UPDATE steps SET closed = TRUE, author = ?, usage = ? WHERE run_id = ? AND step = ?"
    run_sql(tx, close, result.attempt, result.usage.model_dump_json(exclude_none=True), run_id, result.step)


@apply.register
def _(result: ToolOutcome, tx: Tx, run_id: str, _last: int) -> None:
    close = "UPDATE calls SET closed = TRUE, question = NULL WHERE run_id = ? AND call_id = ? RETURNING position"
    position: int = run_sql(tx, close, run_id, result.call_id).scalar_one()
    part = ToolResultPart(
        call_id=result.call_id,
        name=result.name,
        content=result.content,
        status=result.status,
        whole=result.whole,
        arguments=result.arguments,
    )
    message = Message(id=f"{run_id}:{result.call_id}", role="tool", parts=(part,))
    insert_message(tx, run_id, (result.step, position), message)


@apply.register
def _(result: Paused, tx: Tx, run_id: str, last: int) -> None:
    for call in result.pause.calls:
        _ask(tx, result, call)
    end_turn(tx, run_id, result.pause.turn, last, "requires_approval")
    run_sql(tx, "UPDATE runs SET status = 'waiting' WHERE id = ? AND status = 'running'", run_id)


def _ask(tx: Tx, paused: Paused, call: PendingApproval) -> None:
    run_id = paused.pause.run_id
    run_sql(tx, "DELETE FROM approvals WHERE run_id = ? AND call_id = ?", run_id, call.call_id)
    insert_into(
        tx,
        "approvals",
        **call.model_dump(),
        run_id=run_id,
        turn=paused.pause.turn,
        status="pending",
        requested_at=paused.stamp.at,
        expires_at=paused.pause.expires_at,
    )


@apply.register
def _(result: Recorded, tx: Tx, run_id: str, last: int) -> None:
    verdicts, at = result.verdicts, result.stamp.at
    for decision in verdicts.decisions:
        _decide(tx, verdicts, decision.call_id, at, decision)
    for call_id in verdicts.expired:
        _decide(tx, verdicts, call_id, at, None)
    if verdicts.resume:
        turn = verdicts.turn + 1
        begin_turn(tx, run_id, turn, record.turn_id(run_id, turn, at), last)
        resume = "UPDATE runs SET status = 'running', turn = ? WHERE id = ? AND status = 'waiting'"
        run_sql(tx, resume, turn, run_id)


def _decide(tx: Tx, verdicts: Verdicts, call_id: str, at: datetime, decision: Decision | None) -> None:
    run_sql(
        tx,
        "UPDATE approvals SET status = ?, decision = ?, decided_at = ? WHERE run_id = ? AND call_id = ?",
        _STATUS[decision.decision] if decision else "expired",
        decision.model_dump_json(exclude_none=True) if decision else None,
        at,
        verdicts.run_id,
        call_id,
    )


@apply.register
def _(result: Finished, tx: Tx, run_id: str, last: int) -> None:
    finish, at = result.finish, result.stamp.at
    outcome = finish.outcome
    end_turn(tx, run_id, finish.turn, last, outcome.stop_reason)
    run_sql(tx, "UPDATE steps SET closed = TRUE WHERE run_id = ? AND NOT closed", run_id)
    cancel = "UPDATE approvals SET status = 'cancelled', decided_at = ? WHERE run_id = ? AND status = 'pending'"
    run_sql(tx, cancel, at, run_id)
    run_sql(
        tx,
        "UPDATE runs SET status = ?, stop_reason = ?, usage = ?, output = ?, error = ?, ended_at = ?,"
        " stopping = FALSE WHERE id = ?",
        outcome.status,
        outcome.stop_reason,
        finish.usage.model_dump_json(exclude_none=True),
        last_answer(tx, run_id),
        outcome.error.model_dump_json() if outcome.error else None,
        at,
        run_id,
    )


@apply.register
def _(_result: Rewound, tx: Tx, run_id: str, _last: int) -> None:
    run_sql(tx, "UPDATE runs SET rewound = TRUE WHERE id = ?", run_id)
