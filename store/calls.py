"""Tool calls: the ledger that says of each call how often it was attempted and whether it has its result."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import JsonValue
from sqlalchemy import Row

from longrun.store.attempts import CallKey, Taker, begin_attempt, end_attempt, entries_of
from longrun.store.blobs import keep_blob
from longrun.store.db.database import Database, Tx
from longrun.store.db.sql import run_sql
from longrun.store.journal import find, under
from longrun.store.log import Fence, call_fence, lock
from longrun.store.traces import write
from longrun.workflows.contract.requests import Answer, ToolCall
from longrun.workflows.contract.results import CallStarted, Progress, Stamp, ToolOutcome

MOST_LOST = 5
"""Attempts of a call that may be lost before it is given up."""


class UnknownCallError(Exception):
    """No message of the run made this call."""


@dataclass(frozen=True)
class CallAttempt:
    """Attempt ``number`` of a call may run with ``arguments``; or the call has its ``outcome`` already.

    ``interrupted`` says that an earlier attempt started and left no result. With ``halted`` the attempt must not run:
    the earlier one may have had its effect, which must not happen twice, or too many were lost.
    """

    number: int
    arguments: str
    started: Stamp
    interrupted: bool = False
    halted: Literal["interrupted", "given_up"] | None = None
    outcome: ToolOutcome | None = None


class Calls:
    """Reads and writes the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, call: ToolCall, edited: str | None, by: Taker, *, repeats: bool = True) -> CallAttempt:
        """Take the call's fence for a new attempt and, the first time, log ``tool.started``.

        Args:
            call: The call.
            edited: A reviewer's arguments, as JSON text.
            by: Who runs it; the time is that of ``tool.started``.
            repeats: Whether an interrupted call may run again without anybody's agreement.

        Raises:
            UnknownCallError: The run made no such call.
            StoreUnavailableError: The database failed.
        """

        def job(tx: Tx) -> CallAttempt:
            lock(tx, call.run_id)
            row = _row(tx, call.run_id, call.call_id)
            arguments: str = row.arguments if edited is None else edited
            if outcome := _outcome_of(tx, row):
                return CallAttempt(row.attempt, arguments, outcome.started or outcome.stamp, outcome=outcome)
            started = _started(tx, row)
            halted = _halt(tx, call, row, by.at, repeats=repeats) if row.attempt else None
            if halted is None:
                started = started or _start(tx, row, edited, by.at)
                _take_fence(tx, row, by)
            stamp = started.stamp if started else Stamp(first=0, at=by.at)
            return CallAttempt(row.attempt + 1, arguments, stamp, interrupted=row.attempt > 0, halted=halted)

        return await self._database.write(job)

    async def hand_over(self, call: ToolCall, attempt: int, now: datetime) -> None:
        """End an attempt whose worker is shut down and leaves the call to another worker.

        Raises:
            StoreUnavailableError: The database failed.
        """
        key = CallKey(call.run_id, call.step, call.call_id)
        await self._database.write(lambda tx: end_attempt(tx, key, attempt, "handed_over", now))

    async def progress(self, call: ToolCall, attempt: int, index: int, data: JsonValue, now: datetime) -> int:
        """Log report number ``index`` of an attempt; its seq.

        Raises:
            FencedError: A later attempt has taken over, or the call has its result.
            StoreUnavailableError: The database failed.
        """
        report = Progress(
            step=call.step,
            call_id=call.call_id,
            attempt=attempt,
            index=index,
            data=data,
            stamp=Stamp(first=0, at=now),
        )
        fence = call_fence(call.run_id, call.call_id, attempt)
        written = await self._database.write(lambda tx: write(tx, call.run_id, report, fence))
        return written.stamp.first

    async def complete(
        self, call: ToolCall, answer: Answer, whole: str | None, attempt: int, now: datetime
    ) -> ToolOutcome:
        """Write the result of an attempt, and its blob.

        Args:
            call: The call.
            answer: The result.
            whole: All of a result of which the answer has only the beginning.
            attempt: The attempt whose result it is.
            now: The time of ``tool.completed``.

        Raises:
            FencedError: A later attempt has taken over.
            StoreUnavailableError: The database failed.
        """
        fence = call_fence(call.run_id, call.call_id, attempt)

        def job(tx: Tx) -> ToolOutcome:
            lock(tx, call.run_id)
            row = _row(tx, call.run_id, call.call_id)
            if known := _outcome_of(tx, row):
                return known
            outcome = _draft(tx, row, answer, now)
            if outcome.started is None:
                outcome = outcome.model_copy(update={"arguments": call.edited})
            if whole is not None:
                outcome = outcome.model_copy(update={"whole": keep_blob(tx, whole, now)})
            return _close(tx, row, outcome, fence)

        return await self._database.write(job)

    async def answer(self, run_id: str, answers: Sequence[Answer], now: datetime) -> tuple[ToolOutcome, ...]:
        """Give calls that will not run (any more) their results; one that has a result keeps it.

        Raises:
            UnknownCallError: The run made no such call.
            StoreUnavailableError: The database failed.
        """
        return await self._database.write(lambda tx: _answer(tx, run_id, answers, now))


def close_open_calls(tx: Tx, run_id: str, reason: str, now: datetime) -> tuple[ToolOutcome, ...]:
    """Answer every call that has no result, because the run ends."""
    query = "SELECT call_id, name, attempt FROM calls WHERE run_id = ? AND NOT closed ORDER BY step, position"
    answers = [
        Answer(call_id=row.call_id, name=row.name, status="cancelled", content=_closing(row.attempt, reason))
        for row in run_sql(tx, query, run_id).all()
    ]
    return _answer(tx, run_id, answers, now) if answers else ()


def _answer(tx: Tx, run_id: str, answers: Sequence[Answer], now: datetime) -> tuple[ToolOutcome, ...]:
    lock(tx, run_id)
    outcomes: list[ToolOutcome] = []
    for answer in answers:
        row = _row(tx, run_id, answer.call_id)
        outcomes.append(_outcome_of(tx, row) or _close(tx, row, _draft(tx, row, answer, now), None))
    return tuple(outcomes)


def _start(tx: Tx, row: Row[Any], edited: str | None, now: datetime) -> CallStarted:
    stamp = Stamp(first=0, at=now)
    started = CallStarted(step=row.step, call_id=row.call_id, name=row.name, arguments=edited, stamp=stamp)
    return write(tx, row.run_id, started, text=row.arguments)


def _take_fence(tx: Tx, row: Row[Any], by: Taker) -> None:
    attempt: int = row.attempt + 1
    run_sql(tx, "UPDATE calls SET attempt = ? WHERE run_id = ? AND call_id = ?", attempt, row.run_id, row.call_id)
    begin_attempt(tx, _key(row), attempt, by, recovered="reissued" if row.attempt else "none")


def _close(tx: Tx, row: Row[Any], outcome: ToolOutcome, fence: Fence | None) -> ToolOutcome:
    if row.attempt:
        end = "cancelled" if outcome.status == "cancelled" else "completed" if fence else "failed"
        end_attempt(tx, _key(row), row.attempt, end, outcome.stamp.at)
        outcome = outcome.model_copy(update={"attempts": entries_of(tx, _key(row))})
    return write(tx, row.run_id, outcome, fence)


def _key(row: Row[Any]) -> CallKey:
    return CallKey(row.run_id, row.step, row.call_id)


def _halt(
    tx: Tx, call: ToolCall, row: Row[Any], now: datetime, *, repeats: bool
) -> Literal["interrupted", "given_up"] | None:
    """Count the attempt that left no result as lost, and decide whether there must not be another one."""
    end_attempt(tx, _key(row), row.attempt, "lost", now)
    lost = sum(entry.outcome == "lost" for entry in entries_of(tx, _key(row)))
    if lost >= MOST_LOST:
        return "given_up"
    if repeats or call.again == row.attempt + 1:
        return None
    question = "UPDATE calls SET question = ? WHERE run_id = ? AND call_id = ?"
    run_sql(tx, question, row.attempt + 1, row.run_id, row.call_id)
    return "interrupted"


def _closing(attempt: int, reason: str) -> str:
    if attempt:
        return f"Interrupted: the run ended ({reason}) after the call had begun, so it may have had its effect."
    return f"Not run: the run ended ({reason})."


def _row(tx: Tx, run_id: str, call_id: str) -> Row[Any]:
    row = run_sql(tx, "SELECT * FROM calls WHERE run_id = ? AND call_id = ?", run_id, call_id).first()
    if row is None:
        raise UnknownCallError(f"run {run_id} made no call {call_id}")
    return row


def _outcome_of(tx: Tx, row: Row[Any]) -> ToolOutcome | None:
    return find(tx, row.run_id, f"call:{row.call_id}:outcome", ToolOutcome) if row.closed else None


def _started(tx: Tx, row: Row[Any]) -> CallStarted | None:
    return find(tx, row.run_id, f"call:{row.call_id}:started", CallStarted) if row.attempt else None


def _draft(tx: Tx, row: Row[Any], answer: Answer, now: datetime) -> ToolOutcome:
    """A result with the start and the reports of its call."""
    started = _started(tx, row)
    reports = under(tx, row.run_id, f"call:{row.call_id}:progress:", Progress) if started else ()
    return ToolOutcome(
        step=row.step,
        call_id=row.call_id,
        name=row.name,
        status=answer.status,
        content=answer.content,
        attempt=max(1, row.attempt),
        arguments=started.arguments if started else None,
        started=started.stamp if started else None,
        progress=tuple(report for report in reports if report.call_id == row.call_id),
        stamp=Stamp(first=0, at=now),
    )
