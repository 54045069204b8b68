"""Attempts of model calls and tool calls: the worker, the outcome, the cost, and the resume point of the answer."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlmodel import col, select

from longrun.store.db.database import Database, Tx
from longrun.store.db.sql import Value, as_time, insert_into, insert_row, run_sql
from longrun.store.db.tables import AttemptRow
from longrun.workflows.contract.attempts import AttemptEntry, AttemptOutcome, Recovery, ResumePoint
from longrun.workflows.contract.messages import Usage


@dataclass(frozen=True)
class CallKey:
    """A step's model call, or with ``call_id`` one of its tool calls."""

    run_id: str
    step: int
    call_id: str = ""


def last_attempt(tx: Tx, key: CallKey) -> int:
    """The number of the newest attempt, 0 where there is none."""
    find = "SELECT COALESCE(MAX(attempt), 0) FROM attempts WHERE run_id = ? AND step = ? AND call_id = ?"
    return run_sql(tx, find, key.run_id, key.step, key.call_id).scalar_one()


class Taker(NamedTuple):
    """Who begins an attempt: the worker, the time, and Temporal's token of the attempt."""

    worker: str
    at: datetime
    token: bytes | None = None


def begin_attempt(tx: Tx, key: CallKey, attempt: int, by: Taker, **more: str | int | None) -> None:
    """Insert an attempt.

    Args:
        tx: The transaction.
        key: The model call or tool call.
        attempt: The number of the attempt, from 1.
        by: Who begins it.
        more: Other columns that are known already: ``provider``, ``recovered``, the resume point.
    """
    values: dict[str, str | int | None] = {"recovered": "none", **more}
    insert_into(
        tx,
        "attempts",
        run_id=key.run_id,
        step=key.step,
        call_id=key.call_id,
        attempt=attempt,
        worker=by.worker,
        started_at=by.at,
        token=by.token,
        estimated=False,
        **values,
    )


def _set(tx: Tx, key: CallKey, attempt: int, what: str, *values: Value) -> None:
    sql = f"UPDATE attempts SET {what} WHERE run_id = ? AND step = ? AND call_id = ? AND attempt = ?"  # noqa: S608 - ours
    run_sql(tx, sql, *values, key.run_id, key.step, key.call_id, attempt)


def end_attempt(tx: Tx, key: CallKey, attempt: int, outcome: AttemptOutcome, now: datetime) -> None:
    """Set the outcome of an attempt, unless it has one."""
    _set(tx, key, attempt, "outcome = COALESCE(outcome, ?), ended_at = COALESCE(ended_at, ?)", outcome, now)


def recover(tx: Tx, key: CallKey, attempt: int, how: Recovery) -> None:
    """Set how an attempt resumes the answer of the attempt before it."""
    _set(tx, key, attempt, "recovered = ?", how)


def keep_resume_point(tx: Tx, key: CallKey, attempt: int, resume_point: ResumePoint) -> None:
    """Set the resume point of an attempt's answer."""
    values = (resume_point.response_id, resume_point.cursor, resume_point.state)
    _set(tx, key, attempt, "response_id = ?, provider_cursor = ?, provider_state = ?", *values)


def drop_resume_point(tx: Tx, key: CallKey, attempt: int) -> None:
    """Clear the resume point of an attempt's answer, which cannot be resumed any more."""
    _set(tx, key, attempt, "provider_state = NULL")


def resume_point_of(tx: Tx, key: CallKey, attempt: int) -> ResumePoint | None:
    """The resume point of an attempt's answer."""
    find = (
        "SELECT response_id, provider_cursor, provider_state FROM attempts"
        " WHERE run_id = ? AND step = ? AND call_id = ? AND attempt = ? AND provider_state IS NOT NULL"
    )
    row = run_sql(tx, find, key.run_id, key.step, key.call_id, attempt).first()
    if row is None:
        return None
    return ResumePoint(response_id=row.response_id, cursor=row.provider_cursor, state=row.provider_state)


def charge(tx: Tx, key: CallKey, attempt: int, usage: Usage, *, estimated: bool = False) -> None:
    """Set the cost of an attempt; its answer cannot be resumed from now on."""
    cost = (usage.input_tokens, usage.output_tokens, estimated)
    _set(tx, key, attempt, "tokens_in = ?, tokens_out = ?, estimated = ?, provider_state = NULL", *cost)


def charge_same_input(tx: Tx, key: CallKey, tokens_in: int | None) -> None:
    """Charge attempts whose cost is estimated with the input tokens of another attempt with the same request."""
    charge_all = (
        "UPDATE attempts SET tokens_in = ?"
        " WHERE run_id = ? AND step = ? AND call_id = ? AND estimated AND tokens_in IS NULL"
    )
    run_sql(tx, charge_all, tokens_in, key.run_id, key.step, key.call_id)


def entries_of(tx: Tx, key: CallKey) -> tuple[AttemptEntry, ...]:
    """The attempts, first to last."""
    find = (
        "SELECT step, call_id, attempt, worker, started_at, ended_at, outcome, provider, response_id, provider_cursor,"
        " tokens_in, tokens_out, estimated, recovered"
        " FROM attempts WHERE run_id = ? AND step = ? AND call_id = ? ORDER BY attempt"
    )
    rows = run_sql(tx, find, key.run_id, key.step, key.call_id).mappings()
    return tuple(
        AttemptEntry.model_validate(
            {
                **row,
                "call_id": row["call_id"] or None,
                "started_at": as_time(row["started_at"]),
                "ended_at": as_time(row["ended_at"]),
            }
        )
        for row in rows
    )


def is_under_way(tx: Tx, key: CallKey, attempt: int) -> bool:
    """Whether an attempt has no end."""
    find = "SELECT 1 FROM attempts WHERE run_id = ? AND step = ? AND call_id = ? AND attempt = ? AND outcome IS NULL"
    return run_sql(tx, find, key.run_id, key.step, key.call_id, attempt).first() is not None


def give_up(tx: Tx, key: CallKey, now: datetime) -> None:
    """End the attempts of a step that a reset takes back, those of its tool calls too."""
    take_back = (
        "UPDATE attempts SET outcome = 'reset', ended_at = COALESCE(ended_at, ?), provider_state = NULL WHERE"
        " run_id = ? AND step = ? AND call_id = '' AND COALESCE(outcome, '') IN ('', 'completed', 'cancelled')"
    )
    run_sql(tx, take_back, now, key.run_id, key.step)
    close = "UPDATE attempts SET outcome = 'cancelled', ended_at = ? WHERE run_id = ? AND step = ? AND outcome IS NULL"
    run_sql(tx, close, now, key.run_id, key.step)


def restore_attempts(tx: Tx, run_id: str, entries: Iterable[AttemptEntry]) -> None:
    """Insert attempts that history tells of; none of them can be resumed."""
    for entry in entries:
        insert_row(tx, AttemptRow.model_validate({**dict(entry), "run_id": run_id, "call_id": entry.call_id or ""}))


_HELD = "EXISTS (SELECT 1 FROM attempts AS a WHERE a.run_id = r.id AND a.outcome IS NULL AND a.worker <> ?"
_UNHELD = (
    "SELECT r.id FROM runs AS r WHERE r.status IN ('queued', 'running') AND r.dispatched"  # noqa: S608 - ours
    f" AND NOT {_HELD} AND a.call_id = '') AND (NOT {_HELD}) OR EXISTS (SELECT 1 FROM calls AS c"
    f" WHERE c.run_id = r.id AND NOT c.closed AND NOT {_HELD} AND a.call_id = c.call_id))) ORDER BY r.id"
)
"""Runs with something to do that nobody is known to hold: no model call, and no call at all or not one of theirs."""


def unheld(tx: Tx, but: str = "") -> list[str]:
    """The runs of which nobody is known to hold all that there is to do.

    Args:
        tx: A connection.
        but: The worker whose attempts count for nothing.
    """
    return list(run_sql(tx, _UNHELD, *([but] * _UNHELD.count("?"))).scalars())


class Attempts:
    """Reads attempts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unheld(self) -> list[str]:
        """The runs of which nobody is known to hold all that there is to do: between two steps, or to be tried again.

        Raises:
            StoreUnavailableError: The database failed.
        """
        return await self._database.read(unheld)

    async def of_run(self, run_id: str) -> list[AttemptEntry]:
        """All attempts of a run, by the time of their start.

        Raises:
            StoreUnavailableError: The database failed.
        """
        query = (
            select(AttemptRow)
            .where(col(AttemptRow.run_id) == run_id)
            .order_by(
                col(AttemptRow.started_at), col(AttemptRow.step), col(AttemptRow.call_id), col(AttemptRow.attempt)
            )
        )
        async with self._database.session() as session:
            rows = (await session.exec(query)).all()
        known = {*AttemptEntry.model_fields}
        found = [{**row.model_dump(include=known), "call_id": row.call_id or None} for row in rows]
        return [AttemptEntry.model_validate(each) for each in found]
