"""Model calls: the fence of each step, its deltas, its one message."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row

from store.database import Database, Tx
from store.log import Append, append, lock, lock_open, step_fence, supersede
from store.messages import answer_place, insert_message
from store.recorder import Recorder
from store.rows import insert_into, run_sql
from workflows.contract.events import Event
from workflows.contract.steps import ModelCall, ModelReply, OpenStep, Span, Stamp, StepBegin, Superseded

_FIND = "SELECT run_id, step, attempt, begin, superseded, reply FROM steps WHERE run_id = ?"
_GONE: TypeAdapter[tuple[Superseded, ...]] = TypeAdapter(tuple[Superseded, ...])


@dataclass(frozen=True)
class BegunStep:
    """Attempt ``attempt`` of a step may write; or the step has its ``reply`` already."""

    attempt: int
    begin: StepBegin
    superseded: tuple[Superseded, ...]
    reply: ModelReply | None = None


def _load(tx: Tx, row: Row[Any]) -> BegunStep:
    begin = StepBegin.model_validate_json(row.begin)
    gone = _GONE.validate_json(row.superseded)
    if row.reply is None:
        return BegunStep(row.attempt, begin, gone)
    find = "SELECT body FROM messages WHERE run_id = ? AND step = ? AND place = ?"
    body: str = run_sql(tx, find, row.run_id, row.step, answer_place(len(begin.said))).scalar_one()
    reply = ModelReply.model_validate_json('{"message":' + body + "," + row.reply[1:])
    return BegunStep(row.attempt, begin, gone, reply)


class Steps:
    """Reads and writes steps."""

    def __init__(self, database: Database, recorder: Recorder) -> None:
        self._database = database
        self._recorder = recorder

    async def begin(self, call: ModelCall, model: str, worker: str, now: datetime) -> BegunStep:
        """Take the step's fence for a new attempt, whose number is in the answer.

        What an attempt before wrote is marked as superseded, with a notice in the log.

        Raises:
            FencedError: There is no such run, or it has ended.
            StoreAwayError: The database failed.
        """
        return await self._database.write(lambda tx: self._begin(tx, call, model, (worker, now)))

    def _begin(self, tx: Tx, call: ModelCall, model: str, by: tuple[str, datetime]) -> BegunStep:
        lock(tx, call.run_id)
        row = run_sql(tx, f"{_FIND} AND step = ?", call.run_id, call.step).first()
        if row is None:
            return self._begin_first(tx, call, model, by)
        known = _load(tx, row)
        if known.reply:
            return known
        lock_open(tx, call.run_id)
        gone = self._supersede(tx, call.run_id, call.step, known, by[1])
        again = "UPDATE steps SET attempt = ?, worker = ?, superseded = ? WHERE run_id = ? AND step = ?"
        run_sql(tx, again, known.attempt + 1, by[0], _GONE.dump_json(gone).decode(), call.run_id, call.step)
        return BegunStep(known.attempt + 1, known.begin, gone)

    def _begin_first(self, tx: Tx, call: ModelCall, model: str, by: tuple[str, datetime]) -> BegunStep:
        worker, now = by
        lock_open(tx, call.run_id)
        begin = StepBegin(stamp=Stamp(first=0, at=now), model=model, said=call.said)
        events = self._recorder.begun(call.run_id, call.step, begin)
        span = append(tx, Append(call.run_id, f"step:{call.step}", events, once=False))
        begin = begin.model_copy(update={"stamp": Stamp(first=span.first, at=now)})
        insert_into(
            tx,
            "steps",
            run_id=call.run_id,
            step=call.step,
            attempt=1,
            worker=worker,
            begin=begin.model_dump_json(),
            superseded="[]",
        )
        for place, said in enumerate(call.said):
            insert_message(
                tx, call.run_id, (call.step, place), self._recorder.said_message(call.run_id, call.step, place, said)
            )
        running = (
            "UPDATE runs SET status = 'running', dispatched = TRUE, started_at = ? WHERE id = ? AND status = 'queued'"
        )
        if call.step == 1:
            run_sql(tx, running, now, call.run_id)
        run_sql(tx, "UPDATE runs SET step = ? WHERE id = ?", call.step, call.run_id)
        return BegunStep(1, begin, ())

    def _supersede(self, tx: Tx, run_id: str, step: int, known: BegunStep, now: datetime) -> tuple[Superseded, ...]:
        span = supersede(tx, run_id, step, known.attempt)
        if span is None:
            return known.superseded
        gone = Superseded(attempt=known.attempt, first=span.first, last=span.last, notice=Stamp(first=0, at=now))
        notice = self._recorder.superseded(run_id, step, gone)
        place = append(tx, Append(run_id, f"step:{step}:superseded:{known.attempt}", [notice], once=False))
        return (*known.superseded, gone.model_copy(update={"notice": Stamp(first=place.first, at=now)}))

    async def append(self, run_id: str, step: int, attempt: int, batch: int, events: Sequence[Event]) -> Span:
        """Add a batch of an attempt's deltas to the log.

        Raises:
            FencedError: A later attempt has taken over.
            StoreAwayError: The database failed.
        """
        entry = Append(run_id, f"step:{step}:{attempt}:{batch}", events, step, attempt, once=False)
        fence = step_fence(run_id, step, attempt)
        return await self._database.write(lambda tx: append(tx, entry, fence))

    async def complete(
        self, call: ModelCall, events: Sequence[Event], seal: Callable[[Span], ModelReply], reply: ModelReply
    ) -> ModelReply:
        """Commit a step's last deltas, its message and its row in one transaction.

        Args:
            call: The step.
            events: The last deltas; ``message.completed`` is added here.
            seal: Makes the reply when the places of these events are known.
            reply: The reply without those places.

        Raises:
            FencedError: A later attempt has taken over.
            StoreAwayError: The database failed.
        """
        completed = self._recorder.message_completed(call.run_id, call.step, reply)
        entry = Append(
            call.run_id, f"step:{call.step}:{reply.attempt}:end", [*events, completed], call.step, once=False
        )

        def job(tx: Tx) -> ModelReply:
            sealed = seal(append(tx, entry, step_fence(call.run_id, call.step, reply.attempt)))
            return _keep(tx, call, sealed)

        return await self._database.write(job)

    def close_open(self, tx: Tx, run_id: str, now: datetime) -> tuple[OpenStep, ...]:
        """Supersede what steps without a message have written, because the run ends."""
        closed: list[OpenStep] = []
        for row in run_sql(tx, f"{_FIND} AND reply IS NULL ORDER BY step", run_id).all():
            known = _load(tx, row)
            left = self._supersede(tx, run_id, row.step, known, now)
            closed.append(OpenStep(step=row.step, begin=known.begin, superseded=left))
            close = "UPDATE steps SET attempt = ?, superseded = ? WHERE run_id = ? AND step = ?"
            run_sql(tx, close, row.attempt + 1, _GONE.dump_json(left).decode(), run_id, row.step)
        return tuple(closed)


def _keep(tx: Tx, call: ModelCall, reply: ModelReply) -> ModelReply:
    place = answer_place(len(reply.begin.said))
    insert_message(tx, call.run_id, (call.step, place), reply.message)
    for index, part in enumerate(reply.message.calls):
        insert_into(
            tx,
            "calls",
            run_id=call.run_id,
            call_id=part.call_id,
            step=call.step,
            place=place + 1 + index,
            name=part.name,
            arguments=part.arguments,
            attempt=0,
        )
    keep = "UPDATE steps SET reply = ? WHERE run_id = ? AND step = ?"
    run_sql(tx, keep, reply.model_dump_json(exclude={"message"}), call.run_id, call.step)
    return reply
