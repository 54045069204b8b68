"""Approvals: the calls that wait for a person, and what was decided."""

from datetime import datetime

from sqlmodel import col, select

from longrun.store.db.database import Database, Tx
from longrun.store.db.tables import ApprovalRow
from longrun.store.journal import find, under
from longrun.store.log import lock, lock_open
from longrun.store.traces import write
from longrun.store.turns import turn_id_of
from longrun.workflows.contract.requests import Pause, Verdicts
from longrun.workflows.contract.results import Paused, Recorded, Stamp


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
            return list(await session.exec(query))
