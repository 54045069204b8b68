"""Pauses: the calls that wait for a person, what was decided, and the legs between."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from sqlalchemy import select
from sqlmodel import col

from store.database import Database, Tx
from store.log import Append, already, append, lock, lock_open
from store.recorder import Recorder
from store.rows import insert_into, run_sql
from store.tables import ApprovalRow
from workflows.contract.events import EVENT, ApprovalDecided, ApprovalExpired, ApprovalRequested, RunResumed
from workflows.contract.runs import Decision, PendingApproval
from workflows.contract.steps import Pause, Paused, Recorded, Stamp, Verdicts


def end_leg(tx: Tx, run_id: str, leg: int, last_seq: int, reason: str) -> None:
    """Close a leg."""
    end = "UPDATE legs SET last_seq = ?, stop_reason = ? WHERE run_id = ? AND leg = ?"
    run_sql(tx, end, last_seq, reason, run_id, leg)


class Approvals:
    """Reads and writes approvals."""

    def __init__(self, database: Database, recorder: Recorder) -> None:
        self._database = database
        self._recorder = recorder

    async def pause(self, pause: Pause, now: datetime) -> Paused:
        """Ask for approval and end the leg; a second time changes nothing and gives what was asked the first time.

        Raises:
            FencedError: There is no such run, or it has ended.
            StoreAwayError: The database failed.
        """
        return await self._database.write(lambda tx: self._pause(tx, pause, now))

    def _pause(self, tx: Tx, pause: Pause, now: datetime) -> Paused:
        source = f"pause:{pause.leg}"
        lock(tx, pause.run_id)
        if asked := already(tx, pause.run_id, source):
            known = {"expires_at": asked.expires_at} if isinstance(asked, ApprovalRequested) else {}
            return Paused(pause=pause.model_copy(update=known), stamp=Stamp(first=asked.seq, at=asked.at))
        lock_open(tx, pause.run_id)
        find_leg = "SELECT leg_id FROM legs WHERE run_id = ? AND leg = ?"
        leg_id: str = run_sql(tx, find_leg, pause.run_id, pause.leg).scalar_one()
        events = self._recorder.pausing(pause, leg_id, now)
        span = append(tx, Append(pause.run_id, source, events, pause.step, once=False))
        for call in pause.calls:
            self._ask(tx, pause, call, now)
        end_leg(tx, pause.run_id, pause.leg, span.last, "requires_approval")
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
            leg=pause.leg,
            status="pending",
            requested_at=now,
            expires_at=pause.expires_at,
        )

    async def record(self, verdicts: Verdicts, now: datetime) -> Recorded:
        """Write what was decided. A verdict that was written stands: of a call that has one, that is given back.

        Raises:
            FencedError: There is no such run, or it has ended.
            StoreAwayError: The database failed.
        """
        return await self._database.write(lambda tx: self._record(tx, verdicts, now))

    def _record(self, tx: Tx, verdicts: Verdicts, now: datetime) -> Recorded:
        run_id = verdicts.run_id
        ids = [*(decision.call_id for decision in verdicts.decisions), *verdicts.expired]
        source = f"{_verdicts_source(verdicts.leg)}{','.join(ids)}:{verdicts.resume}"
        lock(tx, run_id)
        if written := _written(tx, verdicts):
            return written
        if first := already(tx, run_id, source):
            return Recorded(verdicts=verdicts, stamp=Stamp(first=first.seq, at=first.at))
        lock_open(tx, run_id)
        span = append(tx, Append(run_id, source, self._recorder.deciding(verdicts, now), verdicts.step, once=False))
        for decision in verdicts.decisions:
            self._set(tx, run_id, decision.call_id, now, decision)
        for call_id in verdicts.expired:
            self._set(tx, run_id, call_id, now, None)
        if verdicts.resume:
            self._resume(tx, run_id, verdicts.leg + 1, Stamp(first=span.last, at=now))
        return Recorded(verdicts=verdicts, stamp=Stamp(first=span.first, at=now))

    def _resume(self, tx: Tx, run_id: str, leg: int, begin: Stamp) -> None:
        leg_id = self._recorder.leg_id(run_id, leg, begin.at)
        insert_into(tx, "legs", run_id=run_id, leg=leg, leg_id=leg_id, first_seq=begin.first)
        resume = "UPDATE runs SET status = 'running', leg = ? WHERE id = ? AND status = 'waiting'"
        run_sql(tx, resume, leg, run_id)

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


def _verdicts_source(leg: int) -> str:
    return f"verdicts:{leg}:"


def _written(tx: Tx, verdicts: Verdicts) -> Recorded | None:
    """The verdicts that were written first for one of these calls, with all that was written with them."""
    given = {decision.call_id: decision for decision in verdicts.decisions}
    for recorded in written_verdicts(tx, verdicts.run_id, verdicts.leg, given):
        decided = {decision.call_id for decision in recorded.verdicts.decisions}
        if not decided.union(recorded.verdicts.expired).isdisjoint({*given, *verdicts.expired}):
            return recorded
    return None


def written_verdicts(tx: Tx, run_id: str, leg: int, given: Mapping[str, Decision] | None = None) -> Iterator[Recorded]:
    """The verdicts that were written at the end of a leg, in order.

    Args:
        tx: The transaction.
        run_id: The run.
        leg: Its leg.
        given: By call, the words that somebody gives now: an answer whose approval is gone is found there.
    """
    source = _verdicts_source(leg)
    find = "SELECT body FROM segments WHERE run_id = ? AND source > ? AND source < ? ORDER BY first_seq"
    for body in run_sql(tx, find, run_id, source, f"{source[:-1]};").scalars():
        events = [EVENT.validate_json(line) for line in bytes(body).splitlines()]
        decided = [event for event in events if isinstance(event, ApprovalDecided)]
        standing = Verdicts(
            run_id=run_id,
            step=events[0].step or 0,
            leg=leg,
            decisions=tuple(_decision(tx, leg, event, (given or {}).get(event.call_id)) for event in decided),
            expired=tuple(event.call_id for event in events if isinstance(event, ApprovalExpired)),
            resume=isinstance(events[-1], RunResumed),
        )
        yield Recorded(verdicts=standing, stamp=Stamp(first=events[0].seq, at=events[0].at))


def _decision(tx: Tx, leg: int, event: ApprovalDecided, given: Decision | None) -> Decision:
    """The decision of an event, with the answer that only its approval's row has."""
    find = "SELECT decision FROM approvals WHERE run_id = ? AND call_id = ? AND leg = ?"
    kept: str | None = run_sql(tx, find, event.run_id, event.call_id, leg).scalar()
    if kept is not None:
        return Decision.model_validate_json(kept)
    told = event.model_dump(include={"call_id", "decision", "by", "reason", "args"})
    return Decision.model_validate({**told, "id": event.decision_id, "answer": given.answer if given else None})
