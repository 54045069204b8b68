"""Model calls: the fence of each step, its deltas, its one message."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from longrun.store.attempts import (
    Doing,
    begin_attempt,
    charge,
    charge_same_input,
    drop_resume_point,
    end_attempt,
    entries_of,
    keep_resume_point,
    last_attempt,
    recover,
    resume_point_of,
)
from longrun.store.db.database import Database, Tx
from longrun.store.db.sql import insert_into, run_sql
from longrun.store.log import Append, append, check, lock, lock_open, step_fence, supersede
from longrun.store.messages import answer_place, insert_message
from longrun.store.repair.rewind import Arrival, arrive, reopenings, retracted_calls
from longrun.store.step_attempts import (
    FIND_STEP,
    BegunStep,
    Left,
    charge_lost,
    dump_superseded,
    failures_of,
    guessed_input,
    load_step,
    written,
)
from longrun.workflows import record
from longrun.workflows.contract.attempts import AttemptOutcome, Recovery, ResumePoint
from longrun.workflows.contract.events import Event
from longrun.workflows.contract.steps import ModelCall, ModelReply, OpenStep, Span, Stamp, StepBegin, Superseded


class Steps:
    """Reads and writes steps."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, call: ModelCall, model: str, worker: str, now: datetime, arrival: Arrival | None = None
    ) -> BegunStep:
        """Take the step's fence for a new attempt, whose number is in the answer.

        Where the attempt before has ``left`` an answer that can be taken up, what it wrote stands for now. Otherwise
        it is marked as superseded, with a notice in the log. Where it comes from, its ``arrival``, tells of a reset,
        which takes back what the log has of this step and of all after it.

        Raises:
            FencedError: There is no such run, it has ended, or a reset has ended where this comes from.
            StoreUnavailableError: The database failed.
        """

        def job(tx: Tx) -> BegunStep:
            if arrival:
                arrive(tx, arrival, now)
            begun = self._begin(tx, call, model, (worker, now))
            return replace(begun, taken=retracted_calls(tx, call.run_id)) if begun.begin.reopened else begun

        return await self._database.write(job)

    def _begin(self, tx: Tx, call: ModelCall, model: str, by: tuple[str, datetime]) -> BegunStep:
        lock(tx, call.run_id)
        row = run_sql(tx, f"{FIND_STEP} AND step = ?", call.run_id, call.step).first()
        if row is None:
            return self._begin_first(tx, call, model, by)
        known = load_step(tx, row)
        if known.reply:
            return known
        lock_open(tx, call.run_id)
        end_attempt(tx, known.doing, known.attempt, "lost", by[1])
        resume_point = resume_point_of(tx, known.doing, known.attempt)
        begun = replace(known, attempt=known.attempt + 1, failures=failures_of(tx, known))
        if resume_point is None:
            begin_attempt(tx, begun.doing, begun.attempt, by, provider=model, recovered="reissued")
            return self._restart(tx, begun, by[1], charged=known.attempt)
        events = written(tx, known)
        begun = replace(begun, asked=known.asked if events else begun.attempt, left=Left(resume_point, events))
        known_point = {
            "response_id": resume_point.response_id,
            "provider_cursor": resume_point.cursor,
            "provider_state": resume_point.state,
        }
        begin_attempt(tx, begun.doing, begun.attempt, by, provider=model, **known_point)
        return self._hold(tx, begun)

    def _begin_first(self, tx: Tx, call: ModelCall, model: str, by: tuple[str, datetime]) -> BegunStep:
        worker, now = by
        lock_open(tx, call.run_id)
        doing, reopened = Doing(call.run_id, call.step), reopenings(tx, call.run_id)
        attempt = 1 + last_attempt(tx, doing) if reopened else 1
        stamp = Stamp(first=0, at=now)
        begin = StepBegin(stamp=stamp, model=model, said=call.said, attempt=attempt, reopened=reopened)
        events = record.begun(call.run_id, call.step, begin)
        span = append(tx, Append(call.run_id, f"step:{call.step}", events, once=False))
        begin = begin.model_copy(update={"stamp": Stamp(first=span.first, at=now)})
        insert_into(
            tx,
            "steps",
            run_id=call.run_id,
            step=call.step,
            attempt=attempt,
            asked=attempt,
            worker=worker,
            begin=begin.model_dump_json(),
            superseded="[]",
        )
        begin_attempt(tx, doing, attempt, by, provider=model)
        for place, said in enumerate(call.said):
            insert_message(
                tx, call.run_id, (call.step, place), record.said_message(call.run_id, call.step, place, said)
            )
        running = (
            "UPDATE runs SET status = 'running', dispatched = TRUE, started_at = ? WHERE id = ? AND status = 'queued'"
        )
        if call.step == 1:
            run_sql(tx, running, now, call.run_id)
        run_sql(tx, "UPDATE runs SET step = ? WHERE id = ?", call.step, call.run_id)
        return BegunStep(call.run_id, call.step, attempt, attempt, begin)

    async def restart(self, begun: BegunStep, now: datetime, *, reissued: bool) -> BegunStep:
        """Give up what was left: it is superseded, and the attempt writes in its own name from now on.

        Args:
            begun: The attempt.
            now: The time of the notice.
            reissued: The model is asked again, and what was left was paid for in vain; otherwise the attempt reads
                the same answer from its beginning.

        Raises:
            FencedError: A later attempt has taken over.
            StoreUnavailableError: The database failed.
        """

        def job(tx: Tx) -> BegunStep:
            lock(tx, begun.run_id)
            check(tx, step_fence(begun.run_id, begun.step, begun.attempt))
            if not reissued:
                return self._restart(tx, begun, now, charged=None)
            recover(tx, begun.doing, begun.attempt, "reissued")
            drop_resume_point(tx, begun.doing, begun.attempt)
            return self._restart(tx, begun, now, charged=begun.attempt - 1)

        return await self._database.write(job)

    def _restart(self, tx: Tx, begun: BegunStep, now: datetime, *, charged: int | None) -> BegunStep:
        if charged is not None:
            charge_lost(tx, begun, charged)
        gone = self._supersede(tx, begun, now)
        return self._hold(tx, replace(begun, asked=begun.attempt, superseded=gone, left=None))

    def _hold(self, tx: Tx, begun: BegunStep) -> BegunStep:
        hold = "UPDATE steps SET attempt = ?, asked = ?, superseded = ? WHERE run_id = ? AND step = ?"
        gone = dump_superseded(begun.superseded)
        run_sql(tx, hold, begun.attempt, begun.asked, gone, begun.run_id, begun.step)
        return begun

    def _supersede(self, tx: Tx, begun: BegunStep, now: datetime) -> tuple[Superseded, ...]:
        run_id, step = begun.run_id, begun.step
        span = supersede(tx, run_id, step, begun.asked)
        if span is None:
            return begun.superseded
        gone = Superseded(attempt=begun.asked, first=span.first, last=span.last, notice=Stamp(first=0, at=now))
        notice = record.superseded(run_id, step, gone)
        place = append(tx, Append(run_id, f"step:{step}:superseded:{begun.asked}", [notice], once=False))
        return (*begun.superseded, gone.model_copy(update={"notice": Stamp(first=place.first, at=now)}))

    async def append(
        self, begun: BegunStep, batch: int, events: Sequence[Event], resume_point: ResumePoint | None = None
    ) -> Span:
        """Add a batch of an attempt's deltas to the log, and with them the place after which its answer goes on.

        A batch may be a place alone; its span is empty then.

        Raises:
            FencedError: A later attempt has taken over.
            StoreUnavailableError: The database failed.
        """
        source = f"step:{begun.step}:{begun.attempt}:{batch}"
        entry = Append(begun.run_id, source, events, begun.step, begun.asked, once=False)
        fence = step_fence(begun.run_id, begun.step, begun.attempt)

        def job(tx: Tx) -> Span:
            if events:
                span = append(tx, entry, fence)
            else:
                lock(tx, begun.run_id)
                check(tx, fence)
                span = Span(first=1, last=0)
            if resume_point:
                keep_resume_point(tx, begun.doing, begun.attempt, resume_point)
            return span

        return await self._database.write(job)

    async def recovered(self, begun: BegunStep, how: Recovery) -> None:
        """Say how an attempt has taken up what was left.

        Raises:
            StoreUnavailableError: The database failed.
        """
        await self._database.write(lambda tx: recover(tx, begun.doing, begun.attempt, how))

    async def failed(self, begun: BegunStep, outcome: AttemptOutcome, now: datetime) -> None:
        """Say that an attempt has ended without a message.

        Raises:
            StoreUnavailableError: The database failed.
        """
        await self._database.write(lambda tx: end_attempt(tx, begun.doing, begun.attempt, outcome, now))

    async def complete(
        self, begun: BegunStep, events: Sequence[Event], seal: Callable[[Span], ModelReply], reply: ModelReply
    ) -> ModelReply:
        """Commit a step's last deltas, its message and its row in one transaction.

        Args:
            begun: The attempt.
            events: The last deltas; ``message.completed`` is added here.
            seal: Makes the reply when the places of these events are known.
            reply: The reply without those places.

        Raises:
            FencedError: A later attempt has taken over.
            StoreUnavailableError: The database failed.
        """
        run_id, step = begun.run_id, begun.step
        completed = record.message_completed(run_id, step, reply)
        entry = Append(run_id, f"step:{step}:{begun.attempt}:end", [*events, completed], step, once=False)

        def job(tx: Tx) -> ModelReply:
            sealed = seal(append(tx, entry, step_fence(run_id, step, begun.attempt)))
            return _keep(tx, begun, sealed)

        return await self._database.write(job)

    def close_open(self, tx: Tx, run_id: str, now: datetime) -> tuple[OpenStep, ...]:
        """Supersede what steps without a message have written, because the run ends."""
        closed: list[OpenStep] = []
        for row in run_sql(tx, f"{FIND_STEP} AND reply IS NULL ORDER BY step", run_id).all():
            known = load_step(tx, row)
            end_attempt(tx, known.doing, known.attempt, "cancelled", now)
            charge_lost(tx, known, known.attempt)
            charge_same_input(tx, known.doing, guessed_input(tx, known.doing))
            gone = self._supersede(tx, known, now)
            self._hold(tx, replace(known, attempt=known.attempt + 1, superseded=gone))
            attempts = entries_of(tx, known.doing)
            closed.append(OpenStep(step=row.step, begin=known.begin, superseded=gone, attempts=attempts))
        return tuple(closed)


def _keep(tx: Tx, begun: BegunStep, reply: ModelReply) -> ModelReply:
    run_id, step, message = begun.run_id, begun.step, reply.message
    end_attempt(
        tx,
        begun.doing,
        begun.attempt,
        "cancelled" if reply.finish_reason == "cancelled" else "completed",
        reply.completed_at,
    )
    charge(tx, begun.doing, begun.attempt, reply.usage)
    if begun.attempt > begun.begin.attempt:
        charge_same_input(tx, begun.doing, reply.usage.input_tokens or guessed_input(tx, begun.doing))
    reply = reply.model_copy(update={"attempts": entries_of(tx, begun.doing)})
    place = answer_place(len(reply.begin.said))
    insert_message(tx, run_id, (step, place), message)
    for index, part in enumerate(message.calls):
        insert_into(
            tx,
            "calls",
            run_id=run_id,
            call_id=part.call_id,
            step=step,
            place=place + 1 + index,
            name=part.name,
            arguments=part.arguments,
            attempt=0,
        )
    keep = "UPDATE steps SET reply = ? WHERE run_id = ? AND step = ?"
    run_sql(tx, keep, reply.model_dump_json(exclude={"message"}), run_id, step)
    return reply
