"""Tool calls: the ledger that says of each call whether it was started and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import JsonValue
from sqlalchemy import Row

from longrun.store.attempts import Doing, begin_attempt, end_attempt, entries_of
from longrun.store.blobs import keep_blob
from longrun.store.db.database import Database, Tx
from longrun.store.db.sql import run_sql
from longrun.store.log import Append, Fence, append, call_fence, lock
from longrun.store.messages import insert_message
from longrun.workflows import record
from longrun.workflows.contract.events import EVENT, ToolProgress
from longrun.workflows.contract.messages import Message, ToolResultPart
from longrun.workflows.contract.steps import Answer, Progress, Stamp, ToolCall, ToolOutcome

MOST_LOST = 5
"""Attempts of a call that may be lost before it is given up."""


class UnknownCallError(Exception):
    """No message of the run made this call."""


@dataclass(frozen=True)
class BegunCall:
    """Attempt ``attempt`` of a call may run with ``arguments``; or the call has its ``outcome`` already.

    ``interrupted`` says that an earlier attempt began and left no result. With ``halted`` the attempt must not run:
    the earlier one may have had its effect, which must not happen twice, or too many were lost.
    """

    attempt: int
    arguments: str
    started: Stamp
    interrupted: bool = False
    halted: Literal["interrupted", "given_up"] | None = None
    outcome: ToolOutcome | None = None


class Calls:
    """Reads and writes the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, call: ToolCall, edited: str | None, worker: str, now: datetime, *, repeats: bool = True
    ) -> BegunCall:
        """Take the call's fence for a new attempt and, the first time, say so in the log.

        Args:
            call: The call.
            edited: A reviewer's arguments, as JSON text.
            worker: Who runs it.
            now: The time of ``tool.started``.
            repeats: Whether a call that was interrupted may run again, though nobody has agreed to that.

        Raises:
            UnknownCallError: The run made no such call.
            StoreUnavailableError: The database failed.
        """

        def job(tx: Tx) -> BegunCall:
            lock(tx, call.run_id)
            row = _row(tx, call.run_id, call.call_id)
            arguments = row.arguments if edited is None else edited
            if row.outcome is not None:
                outcome = ToolOutcome.model_validate_json(row.outcome)
                return BegunCall(row.attempt, arguments, outcome.started or outcome.completed, outcome=outcome)
            halted = _halt(tx, call, row, now, repeats=repeats) if row.attempt else None
            if halted:
                started = Stamp.model_validate_json(row.started) if row.started else Stamp(first=0, at=now)
                return BegunCall(row.attempt + 1, arguments, started, interrupted=True, halted=halted)
            return self._begin(tx, row, edited, (worker, now))

        return await self._database.write(job)

    def _begin(self, tx: Tx, row: Row[Any], edited: str | None, by: tuple[str, datetime]) -> BegunCall:
        run_id, attempt = row.run_id, row.attempt + 1
        arguments = row.arguments if edited is None else edited
        if row.started is None:
            draft = _outcome(row, Answer(call_id=row.call_id, name=row.name, status="ok", content=""), by[1])
            event = record.tool_started(run_id, draft, arguments, by[1])
            span = append(tx, Append(run_id, f"call:{row.call_id}:started", [event], once=False))
            started = Stamp(first=span.first, at=by[1])
        else:
            started = Stamp.model_validate_json(row.started)
            edited = row.edited
        begin = "UPDATE calls SET attempt = ?, worker = ?, started = ?, edited = ? WHERE run_id = ? AND call_id = ?"
        run_sql(tx, begin, attempt, by[0], started.model_dump_json(), edited, run_id, row.call_id)
        begin_attempt(tx, _doing(row), attempt, by, recovered="reissued" if row.attempt else "none")
        return BegunCall(attempt, arguments, started, interrupted=row.attempt > 0)

    async def hand_over(self, call: ToolCall, attempt: int, now: datetime) -> None:
        """Say that a worker leaves an attempt to another worker, because it is shut down.

        Raises:
            StoreUnavailableError: The database failed.
        """
        doing = Doing(call.run_id, call.step, call.call_id)
        await self._database.write(lambda tx: end_attempt(tx, doing, attempt, "handed_over", now))

    async def progress(self, call: ToolCall, attempt: int, place: int, data: JsonValue, now: datetime) -> None:
        """Put something that the tool reports into the log.

        Raises:
            FencedError: A later attempt has taken over, or the call has its result.
            StoreUnavailableError: The database failed.
        """
        report = Progress(stamp=Stamp(first=0, at=now), attempt=attempt, data=data)
        event = record.tool_progress(call.run_id, call.step, call.call_id, report)
        source = f"{_progress_source(call.call_id)}{attempt}:{place}"
        entry = Append(call.run_id, source, [event], once=False)
        fence = call_fence(call.run_id, call.call_id, attempt)
        await self._database.write(lambda tx: append(tx, entry, fence))

    async def complete(
        self, call: ToolCall, answer: Answer, whole: str | None, attempt: int, now: datetime
    ) -> ToolOutcome:
        """Keep the result of an attempt: event, message, ledger row and blob in one transaction.

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
            if row.outcome is not None:
                return ToolOutcome.model_validate_json(row.outcome)
            outcome = _outcome(row, answer, now)
            if row.started is None:
                outcome = outcome.model_copy(update={"arguments": call.edited})
            if whole is not None:
                outcome = outcome.model_copy(update={"whole": keep_blob(tx, whole, now)})
            return self._keep(tx, row, outcome, fence)

        return await self._database.write(job)

    async def answer(self, run_id: str, answers: Sequence[Answer], now: datetime) -> tuple[ToolOutcome, ...]:
        """Give calls that will not run (any more) their results; one that has a result keeps it.

        Raises:
            UnknownCallError: The run made no such call.
            StoreUnavailableError: The database failed.
        """
        return await self._database.write(lambda tx: self._answer(tx, run_id, answers, now))

    def _answer(self, tx: Tx, run_id: str, answers: Sequence[Answer], now: datetime) -> tuple[ToolOutcome, ...]:
        lock(tx, run_id)
        outcomes: list[ToolOutcome] = []
        for answer in answers:
            row = _row(tx, run_id, answer.call_id)
            if row.outcome is not None:
                outcomes.append(ToolOutcome.model_validate_json(row.outcome))
            else:
                outcomes.append(self._keep(tx, row, _outcome(row, answer, now), None))
        return tuple(outcomes)

    def close_open(self, tx: Tx, run_id: str, reason: str, now: datetime) -> tuple[ToolOutcome, ...]:
        """Answer every call that has no result, because the run ends."""
        find = "SELECT call_id, name, attempt FROM calls WHERE run_id = ? AND outcome IS NULL ORDER BY step, place"
        rows = run_sql(tx, find, run_id).all()
        answers = [
            Answer(call_id=row.call_id, name=row.name, status="cancelled", content=_closing(row.attempt, reason))
            for row in rows
        ]
        return self._answer(tx, run_id, answers, now) if answers else ()

    def _keep(self, tx: Tx, row: Row[Any], outcome: ToolOutcome, fence: Fence | None) -> ToolOutcome:
        run_id = row.run_id
        outcome = outcome.model_copy(update={"progress": _reported(tx, run_id, row.call_id)})
        event = record.tool_completed(run_id, outcome)
        entry = Append(run_id, f"call:{row.call_id}:completed", [event], once=False)
        span = append(tx, entry, fence)
        outcome = outcome.model_copy(update={"completed": Stamp(first=span.first, at=outcome.completed.at)})
        if row.attempt:
            ending = "cancelled" if outcome.status == "cancelled" else "completed" if fence else "failed"
            end_attempt(tx, _doing(row), row.attempt, ending, outcome.completed.at)
            outcome = outcome.model_copy(update={"attempts": entries_of(tx, _doing(row))})
        result = ToolResultPart(
            call_id=row.call_id, name=row.name, content=outcome.content, status=outcome.status, whole=outcome.whole
        )
        message = Message(id=f"{run_id}:{row.call_id}", role="tool", parts=(result,))
        insert_message(tx, run_id, (row.step, row.place), message)
        keep = "UPDATE calls SET outcome = ?, attempt = ?, asked = NULL WHERE run_id = ? AND call_id = ?"
        run_sql(tx, keep, outcome.model_dump_json(), outcome.attempt, run_id, row.call_id)
        return outcome


def _doing(row: Row[Any]) -> Doing:
    return Doing(row.run_id, row.step, row.call_id)


def _halt(
    tx: Tx, call: ToolCall, row: Row[Any], now: datetime, *, repeats: bool
) -> Literal["interrupted", "given_up"] | None:
    """Count the attempt that left no result as lost, and say whether there must not be another one."""
    end_attempt(tx, _doing(row), row.attempt, "lost", now)
    lost = sum(entry.outcome == "lost" for entry in entries_of(tx, _doing(row)))
    if lost >= MOST_LOST:
        return "given_up"
    if repeats or call.again == row.attempt + 1:
        return None
    ask = "UPDATE calls SET asked = ? WHERE run_id = ? AND call_id = ?"
    run_sql(tx, ask, row.attempt + 1, row.run_id, row.call_id)
    return "interrupted"


def _closing(attempt: int, reason: str) -> str:
    if attempt:
        return f"Interrupted: the run ended ({reason}) after the call had begun, so it may have had its effect."
    return f"Not run: the run ended ({reason})."


def _progress_source(call_id: str) -> str:
    return f"call:{call_id}:progress:"


def _row(tx: Tx, run_id: str, call_id: str) -> Row[Any]:
    row = run_sql(tx, "SELECT * FROM calls WHERE run_id = ? AND call_id = ?", run_id, call_id).first()
    if row is None:
        raise UnknownCallError(f"run {run_id} made no call {call_id}")
    return row


def _outcome(row: Row[Any], answer: Answer, now: datetime) -> ToolOutcome:
    return ToolOutcome(
        step=row.step,
        call_id=row.call_id,
        name=row.name,
        status=answer.status,
        content=answer.content,
        attempt=max(1, row.attempt),
        arguments=row.edited,
        started=Stamp.model_validate_json(row.started) if row.started else None,
        completed=Stamp(first=0, at=now),
    )


def _reported(tx: Tx, run_id: str, call_id: str) -> tuple[Progress, ...]:
    """What the call has reported, read back from the log: an earlier attempt's reports are known only there."""
    source = _progress_source(call_id)
    find = "SELECT body FROM segments WHERE run_id = ? AND source > ? AND source < ? ORDER BY first_seq"
    bodies = run_sql(tx, find, run_id, source, f"{source}~").scalars()
    events = [EVENT.validate_json(body) for body in bodies]
    return tuple(
        Progress(stamp=Stamp(first=event.seq, at=event.at), attempt=event.attempt or 1, data=event.data)
        for event in events
        if isinstance(event, ToolProgress) and event.call_id == call_id
    )
