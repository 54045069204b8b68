"""Rewinding a run: after a reset, Temporal does a part of it again in a new execution, so its log takes that part back.

The log up to there stands. What came after is superseded, its results leave the journal, and the rows are made anew
from the results that stand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from longrun.store.apply import apply, apply_order
from longrun.store.attempts import give_up, is_under_way
from longrun.store.db.database import Tx
from longrun.store.db.sql import run_sql
from longrun.store.journal import after, drop_after, find, rewinds, under
from longrun.store.log import FencedError, last_seq_of, lock, retract
from longrun.store.outbox import release_signals
from longrun.store.sources import END
from longrun.store.step_attempts import charge_lost, load_attempt
from longrun.store.traces import write
from longrun.workflows import positions
from longrun.workflows.contract.results import (
    Finished,
    ModelReply,
    Recorded,
    Result,
    Rewound,
    Stamp,
    StepOpened,
)
from longrun.workflows.contract.runs import RunOrder

_RUN = 'SELECT id, thread_id, executions, "order" FROM runs WHERE id = ?'


@dataclass(frozen=True)
class Origin:
    """An activity of an execution (Temporal run id) of a run's chain.

    ``step`` is the last step whose message the run knows, ``turn`` the one in which it is; ``None``: nobody can say.
    ``seen`` is a seq that the attempt before has written, which readers may have seen, as far as its heartbeats told.
    """

    run_id: str
    execution: str
    step: int | None = None
    turn: int | None = None
    seen: int = 0


@dataclass(frozen=True)
class IdleExecution:
    """An execution that waits without an activity: its history lacks what the log has from ``first`` to ``head``."""

    run_id: str
    execution: str
    first: int
    head: int


def is_newest(tx: Tx, origin: Origin) -> bool:
    """Whether the execution is the newest one of which the run has seen an activity."""
    kept: str | None = run_sql(tx, "SELECT executions FROM runs WHERE id = ?", origin.run_id).scalar()
    return (kept or "").split()[-1:] == [origin.execution]


def admit(tx: Tx, origin: Origin, now: datetime) -> None:
    """Admit an activity. The first one of an execution that a reset has made rewinds the run to what it knows.

    Raises:
        FencedError: The execution is an older one, which a reset has ended.
    """
    run = _enter(tx, origin.run_id, origin.execution)
    if run is None or not run.executions:
        return
    run_id = origin.run_id
    end = find(tx, run_id, END, Finished)
    firsts = [_first_of(end)] if end else []
    if origin.step is not None:
        opened = under(tx, run_id, "step:", StepOpened)
        firsts += [each.stamp.first for each in opened if each.step > origin.step]
    if origin.turn is not None:
        verdicts = under(tx, run_id, f"verdicts:{origin.turn}:", Recorded)
        firsts += [each.stamp.first for each in verdicts if each.verdicts.resume]
    if firsts:
        _rewind(tx, run, min(firsts), now)


def rewind_idle(tx: Tx, idle: IdleExecution, now: datetime) -> bool:
    """Rewind a run that waits; false if its log has grown since, and nothing is certain.

    Raises:
        FencedError: The execution is an older one, which a reset has ended.
    """
    lock(tx, idle.run_id)
    if last_seq_of(tx, idle.run_id) != idle.head:
        return False
    _enter(tx, idle.run_id, idle.execution)
    if idle.first <= idle.head:
        _rewind(tx, run_sql(tx, _RUN, idle.run_id).one(), idle.first, now)
    return True


def _enter(tx: Tx, run_id: str, execution: str) -> Row[Any] | None:
    """The run, if this is a new execution of its chain, which is noted."""
    lock(tx, run_id)
    run = run_sql(tx, _RUN, run_id).first()
    known = (run.executions or "").split() if run else []
    if run is None or known[-1:] == [execution]:
        return None
    if execution in known:
        raise FencedError(f"a reset has ended execution {execution} of run {run_id}")
    run_sql(tx, "UPDATE runs SET executions = ?, stopping = FALSE WHERE id = ?", " ".join([*known, execution]), run_id)
    return run


def _first_of(end: Finished) -> int:
    """The first seq that the end has written: of an open step, of an answer to an open call, or its own."""
    steps = (step.opened.stamp.first for step in end.open_steps)
    calls = (outcome.stamp.first for outcome in end.closed)
    return min([end.stamp.first, *steps, *calls])


def _rewind(tx: Tx, run: Row[Any], first: int, now: datetime) -> None:
    """Take back everything from a seq on, with a notice in the log."""
    run_id, last = run.id, last_seq_of(tx, run.id)
    results = after(tx, run_id, 0)
    dropped = [result for result in results if positions.first_seq(result) >= first]
    calls = _taken_calls(tx, run_id, dropped)
    _give_up_attempts(tx, run_id, dropped, now)
    drop_after(tx, run_id, first - 1)
    retract(tx, run_id, first)
    _make_rows(tx, run, results[: len(results) - len(dropped)], dropped)
    release_signals(tx, run_id, first)
    turn = run_sql(tx, "SELECT turn, turn_id FROM turns WHERE run_id = ? ORDER BY turn DESC LIMIT 1", run_id).one()
    stamp = Stamp(first=0, at=now)
    write(tx, run_id, Rewound(first=first, last=last, turn=turn.turn, turn_id=turn.turn_id, calls=calls, stamp=stamp))
    take = "UPDATE threads SET active_run = COALESCE(active_run, ?) WHERE id = ?"
    run_sql(tx, take, run_id, run.thread_id)


def _taken_calls(tx: Tx, run_id: str, dropped: Sequence[Result]) -> tuple[str, ...]:
    """The ids of the calls that are taken back, with those of earlier resets."""
    before = (call_id for rewound in rewinds(tx, run_id) for call_id in rewound.calls)
    now = (call.call_id for result in dropped if isinstance(result, ModelReply) for call in result.calls)
    return tuple(dict.fromkeys((*before, *now)))


def _give_up_attempts(tx: Tx, run_id: str, dropped: Sequence[Result], now: datetime) -> None:
    """End the attempts of model calls that are taken back, and charge what is under way."""
    for opened in dropped:
        if isinstance(opened, StepOpened) and (known := load_attempt(tx, run_id, opened.step)):
            if is_under_way(tx, known.key, known.number):
                charge_lost(tx, known, known.number)
            give_up(tx, known.key, now)


def _make_rows(tx: Tx, run: Row[Any], kept: Sequence[Result], dropped: Sequence[Result]) -> None:
    """Make a run's rows anew from the results that are kept; the ledger keeps how often their calls were attempted."""
    for table in ("turns", "messages", "approvals", "steps"):
        run_sql(tx, f"DELETE FROM {table} WHERE run_id = ?", run.id)  # noqa: S608 - ours
    for reply in dropped:
        if isinstance(reply, ModelReply):
            run_sql(tx, "DELETE FROM calls WHERE run_id = ? AND step = ?", run.id, reply.step)
    run_sql(tx, "UPDATE calls SET closed = FALSE WHERE run_id = ?", run.id)
    begin = (
        "UPDATE runs SET status = 'queued', stop_reason = NULL, usage = '{}', output = NULL, error = NULL,"
        " ended_at = NULL, step = 0, turn = 1, stopping = FALSE WHERE id = ?"
    )
    run_sql(tx, begin, run.id)
    apply_order(tx, RunOrder.model_validate_json(run.order))
    for result in kept:
        apply(result, tx, run.id, positions.last_seq(result, run.id))
