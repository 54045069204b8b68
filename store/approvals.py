"""Pauses: the calls that wait for a person, what was decided, and the legs between."""

from datetime import datetime

from sqlalchemy import delete, select, update
from sqlmodel import col

from store.database import Database, Tx
from store.log import Append, already, append, lock, lock_open
from store.recorder import Recorder
from store.rows import insert_row
from store.tables import ApprovalRow, LegRow, RunRow
from workflows.contract.runs import Decision
from workflows.contract.steps import Pause, Paused, Recorded, Stamp, Verdicts


def current_leg(tx: Tx, run_id: str, leg: int) -> str:
    """The public id of a leg."""
    return tx.execute(
        select(col(LegRow.leg_id)).where(col(LegRow.run_id) == run_id, col(LegRow.leg) == leg)
    ).scalar_one()


def end_leg(tx: Tx, run_id: str, leg: int, last_seq: int, reason: str) -> None:
    """Close a leg."""
    tx.execute(
        update(LegRow)
        .where(col(LegRow.run_id) == run_id, col(LegRow.leg) == leg)
        .values(last_seq=last_seq, stop_reason=reason)
    )


class Approvals:
    """Reads and writes approvals."""

    def __init__(self, database: Database, recorder: Recorder) -> None:
        self._database = database
        self._recorder = recorder

    async def pause(self, pause: Pause, now: datetime) -> Paused:
        """Ask for approval and end the leg; a second time changes nothing.

        Raises:
            FencedError: There is no such run, or it has ended.
            StoreAwayError: The database failed.
        """
        return await self._database.write(lambda tx: self._pause(tx, pause, now))

    def _pause(self, tx: Tx, pause: Pause, now: datetime) -> Paused:
        source = f"pause:{pause.leg}"
        lock(tx, pause.run_id)
        if stamp := already(tx, pause.run_id, source):
            return Paused(pause=pause, stamp=stamp)
        lock_open(tx, pause.run_id)
        events = self._recorder.pausing(pause, current_leg(tx, pause.run_id, pause.leg), now)
        span = append(tx, Append(pause.run_id, source, events, pause.step, once=False))
        asked_before = col(ApprovalRow.call_id).in_([call.call_id for call in pause.calls])
        tx.execute(delete(ApprovalRow).where(col(ApprovalRow.run_id) == pause.run_id, asked_before))
        for call in pause.calls:
            insert_row(
                tx,
                ApprovalRow(
                    **call.model_dump(),
                    run_id=pause.run_id,
                    leg=pause.leg,
                    requested_at=now,
                    expires_at=pause.expires_at,
                ),
            )
        end_leg(tx, pause.run_id, pause.leg, span.last, "requires_approval")
        tx.execute(
            update(RunRow)
            .where(col(RunRow.id) == pause.run_id, col(RunRow.status) == "running")
            .values(status="waiting", usage=pause.usage.model_dump_json(exclude_none=True))
        )
        return Paused(pause=pause, stamp=Stamp(first=span.first, at=now))

    async def record(self, verdicts: Verdicts, now: datetime) -> Recorded:
        """Write what was decided; a second time changes nothing.

        Raises:
            FencedError: There is no such run, or it has ended.
            StoreAwayError: The database failed.
        """
        return await self._database.write(lambda tx: self._record(tx, verdicts, now))

    def _record(self, tx: Tx, verdicts: Verdicts, now: datetime) -> Recorded:
        run_id = verdicts.run_id
        ids = [*(decision.call_id for decision in verdicts.decisions), *verdicts.expired]
        source = f"verdicts:{verdicts.leg}:{','.join(ids)}:{verdicts.resume}"
        lock(tx, run_id)
        if stamp := already(tx, run_id, source):
            return Recorded(verdicts=verdicts, stamp=stamp)
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
        insert_row(tx, LegRow(run_id=run_id, leg=leg, leg_id=leg_id, first_seq=begin.first))
        tx.execute(
            update(RunRow)
            .where(col(RunRow.id) == run_id, col(RunRow.status) == "waiting")
            .values(status="running", leg=leg)
        )

    def _set(self, tx: Tx, run_id: str, call_id: str, now: datetime, decision: Decision | None) -> None:
        status = {"approve": "approved", "deny": "denied", "edit": "edited", "answer": "answered"}
        tx.execute(
            update(ApprovalRow)
            .where(col(ApprovalRow.run_id) == run_id, col(ApprovalRow.call_id) == call_id)
            .values(
                status=status[decision.decision] if decision else "expired",
                decision=decision.model_dump_json(exclude_none=True) if decision else None,
                decided_at=now,
            )
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
        async with self._database.session() as session:
            return list(await session.scalars(query))
