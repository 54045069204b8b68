"""Approvals: the calls that wait for a person, and what was decided."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import and_, col, or_, select

from longrun.store.db.database import Database, Tx
from longrun.store.db.tables import ApprovalRow
from longrun.store.journal import find, under
from longrun.store.log import lock, lock_open
from longrun.store.traces import write
from longrun.store.turns import turn_id_of
from longrun.workflows.contract.requests import Pause, Verdicts
from longrun.workflows.contract.results import Paused, Recorded, Stamp


@dataclass(frozen=True)
class Requested:
    """The position of an approval in the list of all: when its run asked, which run, for which call."""

    at: datetime
    run_id: str
    call_id: str


@dataclass(frozen=True)
class ApprovalFilter:
    """Which approvals to list: newest first, from before ``before``; ``None`` for any."""

    status: str | None = None
    run_id: str | None = None
    before: Requested | None = None
    most: int = 100


class Approvals:
    """Reads and writes approvals."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pause(self, pause: Pause, now: datetime) -> Paused:
        """Ask for approval and end the turn; a second time changes nothing and gives what was written the first time.

        Raises:
            LostRunError: There is no such run.
            FencedError: It has ended.
            StoreUnavailableError: The database failed.
        """

        def job(tx: Tx) -> Paused:
            lock(tx, pause.run_id)
            if known := find(tx, pause.run_id, f"pause:{pause.turn}", Paused):
                return known
            lock_open(tx, pause.run_id)
            turn_id = turn_id_of(tx, pause.run_id, pause.turn)
            return write(tx, pause.run_id, Paused(pause=pause, turn_id=turn_id, stamp=Stamp(first=0, at=now)))

        return await self._database.write(job)

    async def record(self, verdicts: Verdicts, now: datetime) -> Recorded:
        """Write decisions and expiries. The first verdict on a call stands: where there is one, it is given back.

        Raises:
            LostRunError: There is no such run.
            FencedError: It has ended.
            StoreUnavailableError: The database failed.
        """

        def job(tx: Tx) -> Recorded:
            lock(tx, verdicts.run_id)
            for known in under(tx, verdicts.run_id, f"verdicts:{verdicts.turn}:", Recorded):
                calls = known.verdicts.call_ids
                if calls == verdicts.call_ids or not set(calls).isdisjoint(verdicts.call_ids):
                    return known
            lock_open(tx, verdicts.run_id)
            return write(tx, verdicts.run_id, Recorded(verdicts=verdicts, stamp=Stamp(first=0, at=now)))

        return await self._database.write(job)

    async def find(
        self, *, status: str | None = None, call_id: str | None = None, run_id: str | None = None
    ) -> list[ApprovalRow]:
        """All approvals that match what is given, oldest first."""
        query = select(ApprovalRow).order_by(col(ApprovalRow.requested_at))
        for column, value in (
            (ApprovalRow.status, status),
            (ApprovalRow.call_id, call_id),
            (ApprovalRow.run_id, run_id),
        ):
            if value is not None:
                query = query.where(col(column) == value)
        async with self._database.session() as session:
            return list(await session.exec(query))

    async def page(self, which: ApprovalFilter) -> list[ApprovalRow]:
        """Approvals, newest first."""
        at, run_id, call_id = col(ApprovalRow.requested_at), col(ApprovalRow.run_id), col(ApprovalRow.call_id)
        query = select(ApprovalRow).order_by(at.desc(), run_id.desc(), call_id.desc()).limit(which.most)
        for column, value in ((ApprovalRow.status, which.status), (ApprovalRow.run_id, which.run_id)):
            if value is not None:
                query = query.where(col(column) == value)
        if before := which.before:
            of_run = or_(run_id < before.run_id, and_(run_id == before.run_id, call_id < before.call_id))
            query = query.where(or_(at < before.at, and_(at == before.at, of_run)))
        async with self._database.session() as session:
            return list(await session.exec(query))
