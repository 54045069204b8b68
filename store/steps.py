"""Model calls: the fence of each step, its deltas, its one message."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from longrun.store.attempts import (
    Taker,
    charge,
    charge_same_input,
    drop_resume_point,
    end_attempt,
    entries_of,
    keep_resume_point,
    recover,
)
from longrun.store.db.database import Database, Tx
from longrun.store.db.sql import run_sql
from longrun.store.log import Append, append, check, lock, step_fence
from longrun.store.repair.rewind import Origin, admit
from longrun.store.step_attempts import (
    StepAttempt,
    charge_guess,
    charge_lost,
    estimated_input,
    load_attempt,
)
from longrun.store.step_starts import begin_step, restart_step, supersede_step
from longrun.store.traces import settle, write
from longrun.workflows import record
from longrun.workflows.contract.attempts import Recovery, ResumePoint
from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.events import Event
from longrun.workflows.contract.requests import ModelCall
from longrun.workflows.contract.results import (
    Failed,
    ModelReply,
    OpenStep,
    Span,
    Stamp,
)

MOST_LOST = 25
"""Workers that may be lost over one step."""


class LostWorkersError(Exception):
    """So many workers were lost over a step that it may be what kills them."""


class Steps:
    """Reads and writes steps.

    Args:
        database: The store.
        most_lost: Workers that may be lost over one step.
    """

    def __init__(self, database: Database, most_lost: int = MOST_LOST) -> None:
        self._database = database
        self._most_lost = most_lost

    async def begin(self, call: ModelCall, model: str, by: Taker, origin: Origin | None = None) -> StepAttempt:
        """Take the step's fence for a new attempt.

        The deltas of the attempt before stand for now where its ``partial`` answer can be resumed; otherwise they are
        superseded, with a notice in the log. An ``origin`` in a new execution tells of a reset, which takes back what
        the log has of this step and of all after it; one that has seen what the store has lost, of deltas whose seqs
        are left out.

        Raises:
            FencedError: There is no such run, it has ended, or a reset has ended the execution of ``origin``.
            LostWorkersError: Too many workers were lost over the step.
            StoreUnavailableError: The database failed.
        """

        def job(tx: Tx) -> StepAttempt | int:
            if origin:
                admit(tx, origin, by.at)
            seen = origin.seen if origin else 0
            attempt = begin_step(tx, call, model, by, self._most_lost, seen)
            if isinstance(attempt, int):
                return attempt
            taken = frozenset(call_id for rewind in attempt.opened.rewinds for call_id in rewind.calls)
            return replace(attempt, taken=taken)

        found = await self._database.write(job)
        if isinstance(found, int):
            raise LostWorkersError(f"{found} workers were lost over this step, which may be what kills them")
        return found

    async def restart(self, attempt: StepAttempt, now: datetime, *, reissued: bool) -> StepAttempt:
        """Give the partial answer up: its deltas are superseded, and the attempt writes in its own name from now on.

        Args:
            attempt: The attempt.
            now: The time of the notice.
            reissued: The request is sent again, and the partial answer was paid for in vain; otherwise the attempt
                reads the same answer from its beginning.

        Raises:
            FencedError: A later attempt has taken over.
            StoreUnavailableError: The database failed.
        """

        def job(tx: Tx) -> StepAttempt:
            lock(tx, attempt.run_id)
            check(tx, step_fence(attempt.run_id, attempt.step, attempt.number))
            if not reissued:
                return restart_step(tx, attempt, now, charged=None)
            recover(tx, attempt.key, attempt.number, "reissued")
            drop_resume_point(tx, attempt.key, attempt.number)
            return restart_step(tx, attempt, now, charged=attempt.number - 1)

        return await self._database.write(job)

    async def append(
        self, attempt: StepAttempt, batch: int, events: Sequence[Event], resume_point: ResumePoint | None = None
    ) -> Span:
        """Append a batch of an attempt's deltas, and with them the resume point after them.

        A batch may be a resume point alone; its span is empty then.

        Raises:
            FencedError: A later attempt has taken over.
            StoreUnavailableError: The database failed.
        """
        source = f"step:{attempt.step}:{attempt.number}:{batch}"
        entry = Append(attempt.run_id, source, events, attempt.step, attempt.author)
        fence = step_fence(attempt.run_id, attempt.step, attempt.number)

        def job(tx: Tx) -> Span:
            if events:
                span = append(tx, entry, fence)
            else:
                lock(tx, attempt.run_id)
                check(tx, fence)
                span = Span(first=1, last=0)
            if resume_point:
                keep_resume_point(tx, attempt.key, attempt.number, resume_point)
            return span

        return await self._database.write(job)

    async def recovered(self, attempt: StepAttempt, how: Recovery) -> None:
        """Note how an attempt resumes the partial answer.

        Raises:
            StoreUnavailableError: The database failed.
        """
        await self._database.write(lambda tx: recover(tx, attempt.key, attempt.number, how))

    async def failed(self, attempt: StepAttempt, cause: ErrorInfo, now: datetime, wait: timedelta | None) -> None:
        """End an attempt that gave no answer, with a notice in the log if another one begins after ``wait``.

        Raises:
            FencedError: A later attempt has taken over, or the run has ended.
            StoreUnavailableError: The database failed.
        """

        def job(tx: Tx) -> None:
            end_attempt(tx, attempt.key, attempt.number, "failed", now)
            if wait is not None:
                stamp = Stamp(first=0, at=now)
                notice = Failed(step=attempt.step, attempt=attempt.number, cause=cause, next_at=now + wait, stamp=stamp)
                write(tx, attempt.run_id, notice, step_fence(attempt.run_id, attempt.step, attempt.number))

        await self._database.write(job)

    async def handed_over(self, attempt: StepAttempt, now: datetime) -> None:
        """End an attempt whose worker is shut down and leaves the step to another worker.

        Raises:
            StoreUnavailableError: The database failed.
        """
        await self._database.write(lambda tx: end_attempt(tx, attempt.key, attempt.number, "handed_over", now))

    async def complete(
        self, attempt: StepAttempt, events: Sequence[Event], seal: Callable[[Span], ModelReply], reply: ModelReply
    ) -> ModelReply:
        """Commit a step's last deltas, its message and its rows in one transaction.

        Args:
            attempt: The attempt.
            events: The last deltas; ``message.completed`` is added here.
            seal: Makes the reply when the positions of these events are known.
            reply: The reply without those positions.

        Raises:
            FencedError: A later attempt has taken over.
            StoreUnavailableError: The database failed.
        """
        run_id, step = attempt.run_id, attempt.step
        entry = Append(run_id, f"step:{step}:reply", [*events, record.message_completed(run_id, reply)])

        def job(tx: Tx) -> ModelReply:
            span = append(tx, entry, step_fence(run_id, step, attempt.number))
            return _keep(tx, attempt, seal(span), span.last)

        return await self._database.write(job)


def close_open_steps(tx: Tx, run_id: str, now: datetime) -> tuple[OpenStep, ...]:
    """Supersede the deltas of steps that have no message, because the run ends."""
    closed: list[OpenStep] = []
    query = "SELECT step FROM steps WHERE run_id = ? AND NOT closed ORDER BY step"
    steps: Sequence[int] = run_sql(tx, query, run_id).scalars().all()
    for known in filter(None, (load_attempt(tx, run_id, step) for step in steps)):
        end_attempt(tx, known.key, known.number, "cancelled", now)
        charge_lost(tx, known, known.number)
        charge_same_input(tx, known.key, estimated_input(tx, known.key))
        notices = supersede_step(tx, known, now)
        attempts = entries_of(tx, known.key)
        closed.append(OpenStep(opened=known.opened, notices=notices, attempts=attempts))
    return tuple(closed)


def _keep(tx: Tx, attempt: StepAttempt, reply: ModelReply, last: int) -> ModelReply:
    outcome = "cancelled" if reply.finish_reason == "cancelled" else "completed"
    end_attempt(tx, attempt.key, attempt.number, outcome, reply.completed_at)
    guessed = outcome == "cancelled" and reply.usage.output_tokens is None  # no provider says what it has cut off cost
    if guessed:
        charge_guess(tx, attempt.key, attempt.number, reply.message)
    else:
        charge(tx, attempt.key, attempt.number, reply.usage)
    if guessed or attempt.number > attempt.opened.attempt:
        charge_same_input(tx, attempt.key, reply.usage.input_tokens or estimated_input(tx, attempt.key))
    reply = reply.model_copy(update={"attempts": entries_of(tx, attempt.key)})
    settle(tx, attempt.run_id, reply, last)
    return reply
