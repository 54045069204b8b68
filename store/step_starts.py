"""Starting an attempt of a step: it takes the fence, and what the one before it wrote stands or is superseded."""

from dataclasses import replace
from datetime import datetime

from longrun.store.attempts import (
    CallKey,
    Taker,
    begin_attempt,
    end_attempt,
    last_attempt,
)
from longrun.store.db.database import Tx
from longrun.store.db.sql import run_sql
from longrun.store.journal import rewinds
from longrun.store.log import lock, lock_open, skip_seen, supersede
from longrun.store.step_attempts import (
    StepAttempt,
    charge_lost,
    count_attempts,
    load_attempt,
    partial_answer,
)
from longrun.store.traces import write
from longrun.workflows.contract.requests import ModelCall
from longrun.workflows.contract.results import (
    Notice,
    Stamp,
    StepOpened,
    Superseded,
)


def begin_step(  # noqa: PLR0913, PLR0917 - what a step is begun with
    tx: Tx, call: ModelCall, model: str, by: Taker, most_lost: int, seen: int
) -> StepAttempt | int:
    """The attempt that begins, or how many were lost if there must not be another one."""
    lock(tx, call.run_id)
    known = load_attempt(tx, call.run_id, call.step)
    if known and known.reply:
        return known
    lock_open(tx, call.run_id)
    if known is None:
        return _open(tx, call, model, by, seen)
    end_attempt(tx, known.key, known.number, "lost", by.at)
    if (lost := count_attempts(tx, known, "lost")) >= most_lost:
        return lost
    skipped = skip_seen(tx, known.run_id, seen, known.step, known.author)
    partial = None if skipped else partial_answer(tx, known)
    attempt = replace(known, number=known.number + 1, failures=count_attempts(tx, known, "failed"), partial=partial)
    if partial is None:
        begin_attempt(tx, attempt.key, attempt.number, by, provider=model, recovered="reissued")
        return restart_step(tx, attempt, by.at, charged=known.number)
    if not partial.deltas:
        attempt = replace(attempt, author=attempt.number)
    point = partial.resume_point
    at = {"response_id": point.response_id, "provider_cursor": point.cursor, "provider_state": point.state}
    begin_attempt(tx, attempt.key, attempt.number, by, provider=model, **at)
    return _hold(tx, attempt)


def _open(tx: Tx, call: ModelCall, model: str, by: Taker, seen: int) -> StepAttempt:
    """The first attempt of a step; or the second, if the store has lost what readers have seen of the first."""
    key, resets = CallKey(call.run_id, call.step), rewinds(tx, call.run_id)
    number = 1 + last_attempt(tx, key) if resets else 1
    lost = number if skip_seen(tx, call.run_id, seen, call.step, number) else 0
    if lost:
        begin_attempt(tx, key, lost, Taker("unknown", by.at), provider=model)
        end_attempt(tx, key, lost, "lost", by.at)
        number += 1
    stamp = Stamp(first=0, at=by.at)
    opened = StepOpened(step=call.step, stamp=stamp, model=model, said=call.said, attempt=number, rewinds=resets)
    opened = write(tx, call.run_id, opened)
    begin_attempt(tx, key, number, by, provider=model, recovered="reissued" if lost else "none")
    attempt = StepAttempt(call.run_id, number, number, opened)
    return restart_step(tx, replace(attempt, author=lost), by.at, charged=lost) if lost else attempt


def restart_step(tx: Tx, attempt: StepAttempt, now: datetime, *, charged: int | None) -> StepAttempt:
    """Supersede what an attempt has written, and charge attempt ``charged`` with it; it writes anew from now on."""
    if charged is not None:
        charge_lost(tx, attempt, charged)
    notices = supersede_step(tx, attempt, now)
    return _hold(tx, replace(attempt, author=attempt.number, notices=notices, partial=None))


def _hold(tx: Tx, attempt: StepAttempt) -> StepAttempt:
    hold = "UPDATE steps SET attempt = ?, author = ? WHERE run_id = ? AND step = ?"
    run_sql(tx, hold, attempt.number, attempt.author, attempt.run_id, attempt.step)
    return attempt


def supersede_step(tx: Tx, attempt: StepAttempt, now: datetime) -> tuple[Notice, ...]:
    """Supersede the deltas of an attempt; the notices of its step with the one of that."""
    span = supersede(tx, attempt.run_id, attempt.step, attempt.author)
    if span is None:
        return attempt.notices
    stamp = Stamp(first=0, at=now)
    notice = Superseded(step=attempt.step, attempt=attempt.author, first=span.first, last=span.last, stamp=stamp)
    return (*attempt.notices, write(tx, attempt.run_id, notice))
