"""Resets: what a run does anew in another link of its Temporal chain takes back what its log has of that."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row

from store.database import Tx
from store.log import Append, FencedError, append, lock
from store.recorder import Recorder
from store.retraction import paused_before, release_signals, retract, settle_attempts, undo
from store.rows import run_sql
from workflows.contract.events import EVENT, ToolCallCompleted, type_of
from workflows.contract.steps import Finished, Reopened, Stamp, StepBegin

_REOPENED: TypeAdapter[tuple[Reopened, ...]] = TypeAdapter(tuple[Reopened, ...])
_RUN = "SELECT id, thread_id, status, links, reopened, finished FROM runs WHERE id = ?"
_TOOL_CALL = "tool_call.completed"


@dataclass(frozen=True)
class Arrival:
    """An activity that begins in a link (Temporal run id) of a run's chain.

    ``step`` is the last step whose message the run knows, ``leg`` the one in which it is; ``None``: nobody can say.
    """

    run_id: str
    link: str
    step: int | None = None
    leg: int | None = None


@dataclass(frozen=True)
class Rest:
    """A link that waits, without an activity: of a log up to ``head``, all from ``first`` on is not in its history."""

    run_id: str
    link: str
    first: int
    head: int


def is_known(tx: Tx, arrival: Arrival) -> bool:
    """Whether the link is the newest one that the run's activities come from."""
    return _links(run_sql(tx, "SELECT links FROM runs WHERE id = ?", arrival.run_id).scalar())[-1:] == [arrival.link]


def arrive(tx: Tx, arrival: Arrival, now: datetime, recorder: Recorder) -> None:
    """Let an activity in. The first one of a link that a reset has made takes back what the run has yet to do.

    Raises:
        FencedError: The link is an older one, which a reset has ended.
    """
    run = _enter(tx, arrival.run_id, arrival.link)
    if run is None or not _links(run.links):
        return
    firsts = [] if run.finished is None else [_first_of_end(Finished.model_validate_json(run.finished))]
    if arrival.step is not None:
        find = "SELECT begin FROM steps WHERE run_id = ? AND step > ?"
        begun = run_sql(tx, find, arrival.run_id, arrival.step).scalars()
        firsts += [StepBegin.model_validate_json(begin).stamp.first for begin in begun]
    if arrival.leg is not None:
        firsts += _later_legs(tx, arrival.run_id, arrival.leg)
    if firsts:
        _reopen(tx, run, min(firsts), now, recorder)


def come_to_rest(tx: Tx, rest: Rest, now: datetime, recorder: Recorder) -> bool:
    """Take back what does not stand of a run that waits; false if its log has grown since, and nothing is certain.

    Raises:
        FencedError: The link is an older one, which a reset has ended.
    """
    lock(tx, rest.run_id)
    if _head(tx, rest.run_id) != rest.head:
        return False
    _enter(tx, rest.run_id, rest.link)
    if rest.first <= rest.head:
        _reopen(tx, run_sql(tx, _RUN, rest.run_id).one(), rest.first, now, recorder)
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


def _links(kept: str | None) -> list[str]:
    return (kept or "").split()


def _enter(tx: Tx, run_id: str, link: str) -> Row[Any] | None:
    """The run, if this is a new link of its chain, which is remembered."""
    lock(tx, run_id)
    run = run_sql(tx, _RUN, run_id).first()
    if run is None or (links := _links(run.links))[-1:] == [link]:
        return None
    if link in links:
        raise FencedError(f"a reset has ended link {link} of run {run_id}")
    run_sql(tx, "UPDATE runs SET links = ? WHERE id = ?", " ".join([*links, link]), run_id)
    return run


def _head(tx: Tx, run_id: str) -> int:
    return run_sql(tx, "SELECT last_seq FROM heads WHERE run_id = ?", run_id).scalar_one()


def _first_of_end(finished: Finished) -> int:
    """The first event that is not there without the end: an open step's, an answer's to an open call, or its own."""
    steps = (step.begin.stamp.first for step in finished.open_steps)
    calls = (outcome.completed.first for outcome in finished.closed)
    return min([finished.stamp.first, *steps, *calls])


def _later_legs(tx: Tx, run_id: str, leg: int) -> list[int]:
    """Where the decisions begin that have ended a pause: none if the leg goes on."""
    find = (
        "SELECT leg.last_seq, s.first_seq FROM legs AS leg"
        " JOIN legs AS later ON later.run_id = leg.run_id AND later.leg = leg.leg + 1"
        " JOIN segments AS s ON s.run_id = leg.run_id AND later.first_seq BETWEEN s.first_seq AND s.last_seq"
        " WHERE leg.run_id = ? AND leg.leg = ?"
    )
    return [max(row.last_seq + 1, row.first_seq) for row in run_sql(tx, find, run_id, leg)]


def _reopen(tx: Tx, run: Row[Any], first: int, now: datetime, recorder: Recorder) -> None:
    """Take back everything from a seq on, say so in the log, and let the run go on from before it."""
    run_id, last = run.id, _head(tx, run.id)
    settle_attempts(tx, run_id, first, now)
    undo(tx, run_id, first, retract(tx, run_id, first))
    release_signals(tx, run_id, first)
    leg = run_sql(tx, "SELECT leg, leg_id FROM legs WHERE run_id = ? ORDER BY leg DESC LIMIT 1", run_id).one()
    notice = Stamp(first=0, at=now)
    gone = Reopened(first=first, last=last, leg=leg.leg, leg_id=leg.leg_id, notice=notice)
    span = append(tx, Append(run_id, f"reset:{first}", [recorder.reopened(run_id, gone)], once=False))
    gone = gone.model_copy(update={"notice": Stamp(first=span.first, at=now)})
    kept = [before for before in load_reopenings(run.reopened) if before.notice.first < first]
    _set_going(tx, run, leg.leg, first, (*kept, gone))


def _set_going(tx: Tx, run: Row[Any], leg: int, first: int, reopened: Iterable[Reopened]) -> None:
    pending = "SELECT 1 FROM approvals WHERE run_id = ? AND leg = ? AND status = 'pending'"
    waits = run_sql(tx, pending, run.id, leg).first() is not None
    paused = paused_before(tx, run.id, first) if waits or leg > 1 else None
    end = "UPDATE legs SET last_seq = ?, stop_reason = ? WHERE run_id = ? AND leg = ?"
    run_sql(tx, end, paused.seq if waits and paused else None, "requires_approval" if waits else None, run.id, leg)
    step: int = run_sql(tx, "SELECT COALESCE(MAX(step), 0) FROM steps WHERE run_id = ?", run.id).scalar_one()
    run_sql(
        tx,
        "UPDATE runs SET status = ?, stop_reason = NULL, usage = ?, output = NULL, finished = NULL, ended_at = NULL,"
        " step = ?, leg = ?, reopened = ? WHERE id = ?",
        "waiting" if waits else "running" if step else "queued",
        paused.usage.model_dump_json(exclude_none=True) if paused else "{}",
        step,
        leg,
        dump_reopenings(tuple(reopened)),
        run.id,
    )
    take = "UPDATE threads SET active_run = COALESCE(active_run, ?) WHERE id = ?"
    run_sql(tx, take, run.id, run.thread_id)
