"""A step that an attempt holds, and what it finds there of the attempts before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row

from longrun.store.attempts import Doing, charge
from longrun.store.db.database import Tx
from longrun.store.db.sql import run_sql
from longrun.store.messages import answer_place
from longrun.workflows.contract.attempts import ResumePoint
from longrun.workflows.contract.events import EVENT, Event
from longrun.workflows.contract.messages import Usage
from longrun.workflows.contract.steps import ModelReply, StepBegin, Superseded

FIND_STEP = "SELECT run_id, step, attempt, asked, begin, superseded, reply FROM steps WHERE run_id = ?"
_GONE: TypeAdapter[tuple[Superseded, ...]] = TypeAdapter(tuple[Superseded, ...])
_CHARS_PER_TOKEN = 4


def dump_superseded(gone: tuple[Superseded, ...]) -> str:
    """What a step's row keeps of the attempts that no longer stand."""
    return _GONE.dump_json(gone).decode()


@dataclass(frozen=True)
class Left:
    """What the attempt before has left of an answer that can be taken up: the place, and all that it has written."""

    resume_point: ResumePoint
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class BegunStep:
    """Attempt ``attempt`` of a step may write, in the name of ``asked``; or the step has its ``reply`` already.

    ``failures`` counts the attempts before to which the provider gave no answer. ``taken`` are the ids of calls that a
    reset has taken back: no other call may have one of them.
    """

    run_id: str
    step: int
    attempt: int
    asked: int
    begin: StepBegin
    superseded: tuple[Superseded, ...] = ()
    failures: int = 0
    left: Left | None = None
    reply: ModelReply | None = None
    taken: frozenset[str] = frozenset()

    @property
    def doing(self) -> Doing:
        """Whose attempt it is."""
        return Doing(self.run_id, self.step)


def load_step(tx: Tx, row: Row[Any]) -> BegunStep:
    """A step from what ``FIND_STEP`` finds."""
    begin = StepBegin.model_validate_json(row.begin)
    known = BegunStep(row.run_id, row.step, row.attempt, row.asked, begin, _GONE.validate_json(row.superseded))
    if row.reply is None:
        return known
    find = "SELECT body FROM messages WHERE run_id = ? AND step = ? AND place = ?"
    body: str = run_sql(tx, find, row.run_id, row.step, answer_place(len(begin.said))).scalar_one()
    return replace(known, reply=ModelReply.model_validate_json('{"message":' + body + "," + row.reply[1:]))


def failures_of(tx: Tx, known: BegunStep) -> int:
    """How many attempts the provider has failed, since the last reset."""
    find = (
        "SELECT COUNT(*) FROM attempts"
        " WHERE run_id = ? AND step = ? AND call_id = '' AND outcome = 'failed' AND attempt >= ?"
    )
    return run_sql(tx, find, known.run_id, known.step, known.begin.attempt).scalar_one()


def written(tx: Tx, begun: BegunStep) -> tuple[Event, ...]:
    """What stands of the deltas that were written in the name of an attempt."""
    find = (
        "SELECT body FROM segments WHERE run_id = ? AND step = ? AND attempt = ? AND NOT superseded ORDER BY first_seq"
    )
    bodies: Sequence[bytes] = run_sql(tx, find, begun.run_id, begun.step, begun.asked).scalars().all()
    return tuple(EVENT.validate_json(line) for body in bodies for line in bytes(body).splitlines())


def charge_lost(tx: Tx, begun: BegunStep, attempt: int) -> None:
    """Count what has come of an answer that nobody will complete. One that was refused has cost nothing."""
    chars = sum(len(getattr(event, "delta", "")) for event in written(tx, begun))
    find = (
        "SELECT 1 FROM attempts WHERE run_id = ? AND step = ? AND call_id = '' AND attempt = ? AND outcome = 'failed'"
    )
    if chars or run_sql(tx, find, begun.run_id, begun.step, attempt).first() is None:
        usage = Usage(output_tokens=-(-chars // _CHARS_PER_TOKEN))
        charge(tx, begun.doing, attempt, usage, estimated=True)


def guessed_input(tx: Tx, doing: Doing) -> int:
    """About how many tokens a step was asked with, for when nobody has said: by what the run has said until then."""
    find = "SELECT SUM(LENGTH(body)) FROM messages WHERE run_id = ? AND (step < ? OR (step = ? AND role = 'user'))"
    chars: int | None = run_sql(tx, find, doing.run_id, doing.step, doing.step).scalar()
    return int(chars or 0) // _CHARS_PER_TOKEN
