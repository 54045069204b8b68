"""An attempt of a step's model call: what it holds, and the partial answer of the attempt before it."""

from collections.abc import Sequence
from dataclasses import dataclass

from longrun.store.attempts import CallKey, charge, resume_point_of
from longrun.store.db.database import Tx
from longrun.store.db.sql import run_sql
from longrun.store.journal import find, notices
from longrun.workflows.contract.attempts import AttemptOutcome, ResumePoint
from longrun.workflows.contract.events import EVENT, Event
from longrun.workflows.contract.messages import Message, Usage
from longrun.workflows.contract.results import ModelReply, Notice, StepOpened

_CHARS_PER_TOKEN = 4


@dataclass(frozen=True)
class StoredAnswer:
    """The partial answer of an earlier attempt: its resume point, and the deltas that are in the log."""

    resume_point: ResumePoint
    deltas: tuple[Event, ...] = ()


@dataclass(frozen=True)
class StepAttempt:
    """Attempt ``number`` of a step, which writes in the name of attempt ``author``; or the step has its ``reply``.

    ``failures`` counts the attempts before that the provider failed. ``partial`` is an answer to go on with.
    ``taken`` are the ids of calls that a reset has taken back: no other call may have one of them.
    """

    run_id: str
    number: int
    author: int
    opened: StepOpened
    notices: tuple[Notice, ...] = ()
    failures: int = 0
    partial: StoredAnswer | None = None
    reply: ModelReply | None = None
    taken: frozenset[str] = frozenset()

    @property
    def step(self) -> int:
        """The step."""
        return self.opened.step

    @property
    def seen(self) -> int:
        """The last seq that the step has in the log."""
        deltas = self.partial.deltas[-1:] if self.partial else ()
        stamps = (self.opened.stamp, *(notice.stamp for notice in self.notices))
        return max(*(stamp.first for stamp in stamps), *(event.seq for event in deltas), 0)

    @property
    def key(self) -> CallKey:
        """The model call of the step."""
        return CallKey(self.run_id, self.step)


def load_attempt(tx: Tx, run_id: str, step: int) -> StepAttempt | None:
    """The newest attempt of a step; ``None`` if the step was not opened."""
    row = run_sql(tx, "SELECT attempt, author, closed FROM steps WHERE run_id = ? AND step = ?", run_id, step).first()
    opened = find(tx, run_id, f"step:{step}:opened", StepOpened) if row else None
    if row is None or opened is None:
        return None
    reply = find(tx, run_id, f"step:{step}:reply", ModelReply) if row.closed else None
    known = reply.notices if reply else notices(tx, run_id, step)
    return StepAttempt(run_id, row.attempt, row.author, opened, known, reply=reply)


def count_attempts(tx: Tx, known: StepAttempt, outcome: AttemptOutcome) -> int:
    """How many attempts since the last reset have ended so."""
    query = (
        "SELECT COUNT(*) FROM attempts WHERE run_id = ? AND step = ? AND call_id = '' AND outcome = ? AND attempt >= ?"
    )
    return run_sql(tx, query, known.run_id, known.step, outcome, known.opened.attempt).scalar_one()


def partial_answer(tx: Tx, known: StepAttempt) -> StoredAnswer | None:
    """The partial answer of an attempt, if it can be resumed."""
    resume_point = resume_point_of(tx, known.key, known.number)
    return StoredAnswer(resume_point, _deltas(tx, known)) if resume_point else None


def _deltas(tx: Tx, known: StepAttempt) -> tuple[Event, ...]:
    query = (
        "SELECT body FROM segments WHERE run_id = ? AND step = ? AND attempt = ? AND NOT superseded ORDER BY first_seq"
    )
    bodies: Sequence[bytes] = run_sql(tx, query, known.run_id, known.step, known.author).scalars().all()
    return tuple(EVENT.validate_json(line) for body in bodies for line in bytes(body).splitlines())


def charge_lost(tx: Tx, known: StepAttempt, number: int) -> None:
    """Charge attempt ``number`` with what had come of an answer that nobody will complete; a refusal costs nothing."""
    chars = sum(len(getattr(event, "delta", "")) for event in _deltas(tx, known))
    query = (
        "SELECT 1 FROM attempts WHERE run_id = ? AND step = ? AND call_id = '' AND attempt = ? AND outcome = 'failed'"
    )
    if chars or run_sql(tx, query, known.run_id, known.step, number).first() is None:
        _charge_chars(tx, known.key, number, chars)


def charge_guess(tx: Tx, key: CallKey, number: int, message: Message) -> None:
    """Charge an attempt with what has come of a message whose cost nobody has said."""
    chars = sum(len(getattr(part, "text", "") or getattr(part, "arguments", "")) for part in message.parts)
    _charge_chars(tx, key, number, chars)


def _charge_chars(tx: Tx, key: CallKey, number: int, chars: int) -> None:
    charge(tx, key, number, Usage(output_tokens=-(-chars // _CHARS_PER_TOKEN)), estimated=True)


def estimated_input(tx: Tx, key: CallKey) -> int:
    """About how many tokens a step's request had, where the provider has not said: by the run's messages until then."""
    query = "SELECT SUM(LENGTH(body)) FROM messages WHERE run_id = ? AND (step < ? OR (step = ? AND role = 'user'))"
    chars: int | None = run_sql(tx, query, key.run_id, key.step, key.step).scalar()
    return int(chars or 0) // _CHARS_PER_TOKEN
