"""Resets: what a run does anew in another execution of its Temporal chain takes back what its log has of that."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row

from longrun.store.db.database import Tx
from longrun.store.db.sql import run_sql
from longrun.store.log import Append, FencedError, append, lock
from longrun.store.repair.undo import paused_before, release_signals, retract, settle_attempts, undo
from longrun.workflows import record
from longrun.workflows.contract.events import EVENT, ToolCallCompleted, type_of
from longrun.workflows.contract.steps import Finished, Reopened, Stamp, StepBegin

_REOPENED: TypeAdapter[tuple[Reopened, ...]] = TypeAdapter(tuple[Reopened, ...])
_RUN = "SELECT id, thread_id, status, executions, reopened, finished FROM runs WHERE id = ?"
_TOOL_CALL = "tool_call.completed"


@dataclass(frozen=True)
class Arrival:
    """An activity that begins in an execution (Temporal run id) of a run's chain.

    ``step`` is the last step whose message the run knows, ``turn`` the one in which it is; ``None``: nobody can say.
    """

    run_id: str
    execution: str
    step: int | None = None
    turn: int | None = None


@dataclass(frozen=True)
class Rest:
    """An execution that waits, without an activity: its history lacks what the log has from ``first`` to ``head``."""

    run_id: str
    execution: str
    first: int
    head: int


def is_known(tx: Tx, arrival: Arrival) -> bool:
    """Whether the execution is the newest one that the run's activities come from."""
    return _executions(run_sql(tx, "SELECT executions FROM runs WHERE id = ?", arrival.run_id).scalar())[-1:] == [
        arrival.execution
    ]


def arrive(tx: Tx, arrival: Arrival, now: datetime) -> None:
    """Let an activity in. The first one of an execution that a reset has made takes back what the run has yet to do.

    Raises:
        FencedError: The execution is an older one, which a reset has ended.
    """
    run = _enter(tx, arrival.run_id, arrival.execution)
    if run is None or not _executions(run.executions):
        return
    firsts = [] if run.finished is None else [_first_of_end(Finished.model_validate_json(run.finished))]
    if arrival.step is not None:
        find = "SELECT begin FROM steps WHERE run_id = ? AND step > ?"
        begun = run_sql(tx, find, arrival.run_id, arrival.step).scalars()
        firsts += [StepBegin.model_validate_json(begin).stamp.first for begin in begun]
    if arrival.turn is not None:
        firsts += _later_turns(tx, arrival.run_id, arrival.turn)
    if firsts:
        _reopen(tx, run, min(firsts), now)


def come_to_rest(tx: Tx, rest: Rest, now: datetime) -> bool:
    """Take back what does not stand of a run that waits; false if its log has grown since, and nothing is certain.

    Raises:
        FencedError: The execution is an older one, which a reset has ended.
    """
    lock(tx, rest.run_id)
    if _head(tx, rest.run_id) != rest.head:
        return False
    _enter(tx, rest.run_id, rest.execution)
    if rest.first <= rest.head:
        _reopen(tx, run_sql(tx, _RUN, rest.run_id).one(), rest.first, now)
    return True


def reopenings(tx: Tx, run_id: str) -> tuple[Reopened, ...]:
    """The resets of a run, oldest first."""
    return load_reopenings(run_sql(tx, "SELECT reopened FROM runs WHERE id = ?", run_id).scalar())


def load_reopenings(kept: str | None) -> tuple[Reopened, ...]:
    """The resets that a run's row tells of."""
    return _REOPENED.validate_json(kept) if kept else ()


def dump_reopenings(reopened: tuple[Reopened, ...]) -> str | None:
    """What a run's row keeps of its resets."""
    return _REOPENED.dump_json(reopened).decode() if reopened else None


def retracted_calls(tx: Tx, run_id: str) -> frozenset[str]:
    """The ids of the calls that resets have taken back: a decision on one of them must not meet another call."""
    find = "SELECT body FROM segments WHERE run_id = ? AND source > 'reset:' AND source < 'reset;'"
    lines = (line for body in run_sql(tx, find, run_id).scalars() for line in bytes(body).splitlines())
    calls = (EVENT.validate_json(line) for line in lines if type_of(line) == _TOOL_CALL)
    return frozenset(call.call_id for call in calls if isinstance(call, ToolCallCompleted))


def _executions(kept: str | None) -> list[str]:
    return (kept or "").split()


def _enter(tx: Tx, run_id: str, execution: str) -> Row[Any] | None:
    """The run, if this is a new execution of its chain, which is remembered."""
    lock(tx, run_id)
    run = run_sql(tx, _RUN, run_id).first()
    if run is None or (executions := _executions(run.executions))[-1:] == [execution]:
        return None
    if execution in executions:
        raise FencedError(f"a reset has ended execution {execution} of run {run_id}")
    run_sql(tx, "UPDATE runs SET executions = ? WHERE id = ?", " ".join([*executions, execution]), run_id)
    return run


def _head(tx: Tx, run_id: str) -> int:
    return run_sql(tx, "SELECT last_seq FROM heads WHERE run_id = ?", run_id).scalar_one()


def _first_of_end(finished: Finished) -> int:
    """The first event that is not there without the end: an open step's, an answer's to an open call, or its own."""
    steps = (step.begin.stamp.first for step in finished.open_steps)
    calls = (outcome.completed.first for outcome in finished.closed)
    return min([finished.stamp.first, *steps, *calls])


def _later_turns(tx: Tx, run_id: str, turn: int) -> list[int]:
    """Where the decisions begin that have ended a pause: none if the turn goes on."""
    find = (
        "SELECT turn.last_seq, s.first_seq FROM turns AS turn"
        " JOIN turns AS later ON later.run_id = turn.run_id AND later.turn = turn.turn + 1"
        " JOIN segments AS s ON s.run_id = turn.run_id AND later.first_seq BETWEEN s.first_seq AND s.last_seq"
        " WHERE turn.run_id = ? AND turn.turn = ?"
    )
    return [max(row.last_seq + 1, row.first_seq) for row in run_sql(tx, find, run_id, turn)]


def _reopen(tx: Tx, run: Row[Any], first: int, now: datetime) -> None:
    """Take back everything from a seq on, say so in the log, and let the run go on from before it."""
    run_id, last = run.id, _head(tx, run.id)
    settle_attempts(tx, run_id, first, now)
    undo(tx, run_id, first, retract(tx, run_id, first))
    release_signals(tx, run_id, first)
    turn = run_sql(tx, "SELECT turn, turn_id FROM turns WHERE run_id = ? ORDER BY turn DESC LIMIT 1", run_id).one()
    notice = Stamp(first=0, at=now)
    gone = Reopened(first=first, last=last, turn=turn.turn, turn_id=turn.turn_id, notice=notice)
    span = append(tx, Append(run_id, f"reset:{first}", [record.reopened(run_id, gone)], once=False))
    gone = gone.model_copy(update={"notice": Stamp(first=span.first, at=now)})
    kept = [before for before in load_reopenings(run.reopened) if before.notice.first < first]
    _set_going(tx, run, turn.turn, first, (*kept, gone))


def _set_going(tx: Tx, run: Row[Any], turn: int, first: int, reopened: Iterable[Reopened]) -> None:
    pending = "SELECT 1 FROM approvals WHERE run_id = ? AND turn = ? AND status = 'pending'"
    waits = run_sql(tx, pending, run.id, turn).first() is not None
    paused = paused_before(tx, run.id, first) if waits or turn > 1 else None
    end = "UPDATE turns SET last_seq = ?, stop_reason = ? WHERE run_id = ? AND turn = ?"
    run_sql(tx, end, paused.seq if waits and paused else None, "requires_approval" if waits else None, run.id, turn)
    step: int = run_sql(tx, "SELECT COALESCE(MAX(step), 0) FROM steps WHERE run_id = ?", run.id).scalar_one()
    run_sql(
        tx,
        "UPDATE runs SET status = ?, stop_reason = NULL, usage = ?, output = NULL, finished = NULL, ended_at = NULL,"
        " step = ?, turn = ?, reopened = ? WHERE id = ?",
        "waiting" if waits else "running" if step else "queued",
        paused.usage.model_dump_json(exclude_none=True) if paused else "{}",
        step,
        turn,
        dump_reopenings(tuple(reopened)),
        run.id,
    )
    take = "UPDATE threads SET active_run = COALESCE(active_run, ?) WHERE id = ?"
    run_sql(tx, take, run.id, run.thread_id)
