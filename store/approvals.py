"""Pauses: the calls that wait for a person, what was decided, and the turns between."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from sqlalchemy import select
from sqlmodel import col

from longrun.store.db.database import Database, Tx
from longrun.store.db.sql import insert_into, run_sql
from longrun.store.db.tables import ApprovalRow
from longrun.store.log import Append, already, append, lock, lock_open
from longrun.workflows import record
from longrun.workflows.contract.events import EVENT, ApprovalDecided, ApprovalExpired, ApprovalRequested, RunResumed
from longrun.workflows.contract.runs import Decision, PendingApproval
from longrun.workflows.contract.steps import Pause, Paused, Recorded, Stamp, Verdicts


def end_turn(tx: Tx, run_id: str, turn: int, last_seq: int, reason: str) -> None:
    """Close a turn."""
    end = "UPDATE turns SET last_seq = ?, stop_reason = ? WHERE run_id = ? AND turn = ?"
    run_sql(tx, end, last_seq, reason, run_id, turn)


class Approvals:
    """Reads and writes approvals."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pause(self, pause: Pause, now: datetime) -> Paused:
        """Ask for approval and end the turn; a second time changes nothing and gives what was asked the first time.

        Raises:
            FencedError: There is no such run, or it has ended.
            StoreUnavailableError: The database failed.
        """
        return await self._database.write(lambda tx: self._pause(tx, pause, now))

    def _pause(self, tx: Tx, pause: Pause, now: datetime) -> Paused:
        source = f"pause:{pause.turn}"
        lock(tx, pause.run_id)
        if asked := already(tx, pause.run_id, source):
            known = {"expires_at": asked.expires_at} if isinstance(asked, ApprovalRequested) else {}
            return Paused(pause=pause.model_copy(update=known), stamp=Stamp(first=asked.seq, at=asked.at))
        lock_open(tx, pause.run_id)
        find_turn = "SELECT turn_id FROM turns WHERE run_id = ? AND turn = ?"
        turn_id: str = run_sql(tx, find_turn, pause.run_id, pause.turn).scalar_one()
        events = record.pausing(pause, turn_id, now)
        span = append(tx, Append(pause.run_id, source, events, pause.step, once=False))
        for call in pause.calls:
            self._ask(tx, pause, call, now)
        end_turn(tx, pause.run_id, pause.turn, span.last, "requires_approval")
        wait = "UPDATE runs SET status = 'waiting', usage = ? WHERE id = ? AND status = 'running'"
        run_sql(tx, wait, pause.usage.model_dump_json(exclude_none=True), pause.run_id)
        return Paused(pause=pause, stamp=Stamp(first=span.first, at=now))

    def _ask(self, tx: Tx, pause: Pause, call: PendingApproval, now: datetime) -> None:
        run_sql(tx, "DELETE FROM approvals WHERE run_id = ? AND call_id = ?", pause.run_id, call.call_id)
        insert_into(
            tx,
            "approvals",
            **call.model_dump(),
            run_id=pause.run_id,
            turn=pause.turn,
            status="pending",
            requested_at=now,
            expires_at=pause.expires_at,
        )

    async def record(self, verdicts: Verdicts, now: datetime) -> Recorded:
        """Write what was decided. A verdict that was written stands: of a call that has one, that is given back.

        Raises:
            FencedError: There is no such run, or it has ended.
            StoreUnavailableError: The database failed.
        """
        return await self._database.write(lambda tx: self._record(tx, verdicts, now))

    def _record(self, tx: Tx, verdicts: Verdicts, now: datetime) -> Recorded:
        run_id = verdicts.run_id
        ids = [*(decision.call_id for decision in verdicts.decisions), *verdicts.expired]
        source = f"{_verdicts_source(verdicts.turn)}{','.join(ids)}:{verdicts.resume}"
        lock(tx, run_id)
        if written := _written(tx, verdicts):
            return written
        if first := already(tx, run_id, source):
            return Recorded(verdicts=verdicts, stamp=Stamp(first=first.seq, at=first.at))
        lock_open(tx, run_id)
        span = append(tx, Append(run_id, source, record.deciding(verdicts, now), verdicts.step, once=False))
        for decision in verdicts.decisions:
            self._set(tx, run_id, decision.call_id, now, decision)
        for call_id in verdicts.expired:
            self._set(tx, run_id, call_id, now, None)
        if verdicts.resume:
            self._resume(tx, run_id, verdicts.turn + 1, Stamp(first=span.last, at=now))
        return Recorded(verdicts=verdicts, stamp=Stamp(first=span.first, at=now))

    def _resume(self, tx: Tx, run_id: str, turn: int, begin: Stamp) -> None:
        turn_id = record.turn_id(run_id, turn, begin.at)
        insert_into(tx, "turns", run_id=run_id, turn=turn, turn_id=turn_id, first_seq=begin.first)
        resume = "UPDATE runs SET status = 'running', turn = ? WHERE id = ? AND status = 'waiting'"
        run_sql(tx, resume, turn, run_id)

    def _set(self, tx: Tx, run_id: str, call_id: str, now: datetime, decision: Decision | None) -> None:
        status = {"approve": "approved", "deny": "denied", "edit": "edited", "answer": "answered"}
        run_sql(
            tx,
            "UPDATE approvals SET status = ?, decision = ?, decided_at = ? WHERE run_id = ? AND call_id = ?",
            status[decision.decision] if decision else "expired",
            decision.model_dump_json(exclude_none=True) if decision else None,
            now,
            run_id,
            call_id,
        )

    async def find(
        self, *, status: str | None = None, call_id: str | None = None, run_id: str | None = None, most: int = 100
    ) -> list[ApprovalRow]:
        """Approvals that match all that is given, oldest first."""
        query = select(ApprovalRow).order_by(col(ApprovalRow.requested_at)).limit(most)
        for column, value in (
            (ApprovalRow.status, status),
            (ApprovalRow.call_id, call_id),
            (ApprovalRow.run_id, run_id),
        ):
            if value is not None:
                query = query.where(col(column) == value)
        return list(await self._database.read(lambda session: session.scalars(query).all()))


def _verdicts_source(turn: int) -> str:
    return f"verdicts:{turn}:"


def _written(tx: Tx, verdicts: Verdicts) -> Recorded | None:
    """The verdicts that were written first for one of these calls, with all that was written with them."""
    given = {decision.call_id: decision for decision in verdicts.decisions}
    for recorded in written_verdicts(tx, verdicts.run_id, verdicts.turn, given):
        decided = {decision.call_id for decision in recorded.verdicts.decisions}
        if not decided.union(recorded.verdicts.expired).isdisjoint({*given, *verdicts.expired}):
            return recorded
    return None


def written_verdicts(tx: Tx, run_id: str, turn: int, given: Mapping[str, Decision] | None = None) -> Iterator[Recorded]:
    """The verdicts that were written at the end of a turn, in order.

    Args:
        tx: The transaction.
        run_id: The run.
        turn: Its turn.
        given: By call, the words that somebody gives now: an answer whose approval is gone is found there.
    """
    source = _verdicts_source(turn)
    find = "SELECT body FROM segments WHERE run_id = ? AND source > ? AND source < ? ORDER BY first_seq"
    for body in run_sql(tx, find, run_id, source, f"{source[:-1]};").scalars():
        events = [EVENT.validate_json(line) for line in bytes(body).splitlines()]
        decided = [event for event in events if isinstance(event, ApprovalDecided)]
        standing = Verdicts(
            run_id=run_id,
            step=events[0].step or 0,
            turn=turn,
            decisions=tuple(_decision(tx, turn, event, (given or {}).get(event.call_id)) for event in decided),
            expired=tuple(event.call_id for event in events if isinstance(event, ApprovalExpired)),
            resume=isinstance(events[-1], RunResumed),
        )
        yield Recorded(verdicts=standing, stamp=Stamp(first=events[0].seq, at=events[0].at))


def _decision(tx: Tx, turn: int, event: ApprovalDecided, given: Decision | None) -> Decision:
    """The decision of an event, with the answer that only its approval's row has."""
    find = "SELECT decision FROM approvals WHERE run_id = ? AND call_id = ? AND turn = ?"
    kept: str | None = run_sql(tx, find, event.run_id, event.call_id, turn).scalar()
    if kept is not None:
        return Decision.model_validate_json(kept)
    told = event.model_dump(include={"call_id", "decision", "by", "reason", "args"})
    return Decision.model_validate({**told, "id": event.decision_id, "answer": given.answer if given else None})
