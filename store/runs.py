"""Runs: accepted once, queued on their thread, ended once."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select

from longrun.store.apply import apply_order
from longrun.store.calls import close_open_calls
from longrun.store.db.database import Database, Tx
from longrun.store.db.sql import find_row, insert_into, run_sql
from longrun.store.db.tables import RunRow, StepRow, ThreadRow
from longrun.store.journal import find, rewinds
from longrun.store.log import Append, LostRunError, append, lock, lock_open, skip_seen
from longrun.store.messages import last_answer
from longrun.store.outbox import pending_messages
from longrun.store.repair.rewind import Origin, admit, is_newest
from longrun.store.repair.unacknowledged import unacknowledged
from longrun.store.sources import END
from longrun.store.steps import close_open_steps
from longrun.store.threads import next_run, pass_thread_on, take_thread
from longrun.store.traces import write
from longrun.store.turns import turn_id_of
from longrun.workflows import record
from longrun.workflows.contract.messages import Usage
from longrun.workflows.contract.requests import Finish, Ignore
from longrun.workflows.contract.results import Finished, Ignored, Stamp
from longrun.workflows.contract.runs import OPEN, OnBusy, RunOrder


class KeyReusedError(Exception):
    """The idempotency key belongs to a run with another body."""


class MessagesPendingError(Exception):
    """Users' messages were accepted for a run that is about to end, and no step of it has them."""


class ThreadBusyError(Exception):
    """The thread works on another run and the caller did not want to wait.

    Args:
        run_id: The run that the thread works on.
    """

    def __init__(self, run_id: str) -> None:
        super().__init__(f"the thread is busy with run {run_id}")
        self.run_id = run_id


@dataclass(frozen=True)
class Acceptance:
    """How a run is to be accepted. ``key`` and ``digest`` are the idempotency key and a hash of the body."""

    order: RunOrder
    key: str | None = None
    digest: str | None = None
    on_busy: OnBusy = "queue"


@dataclass(frozen=True)
class Accepted:
    """The run of an acceptance. ``created`` is false for a repeat; ``ready`` says that its workflow may start."""

    run_id: str
    created: bool
    ready: bool


@dataclass(frozen=True)
class RunFilter:
    """Which runs to list: newest first, from before ``before`` (a run id)."""

    status: str | None = None
    agent: str | None = None
    thread: str | None = None
    before: str | None = None
    most: int = 50


class Runs:
    """Reads and writes runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(self, acceptance: Acceptance) -> Accepted:
        """Commit a run and its ``run.accepted`` event; the same key again gives the same run.

        Raises:
            KeyReusedError: The key was used with another body.
            ThreadBusyError: The thread is busy and ``on_busy`` is ``reject``.
            StoreUnavailableError: The database failed.
        """
        return await self._database.write(lambda tx: _accept(tx, acceptance))

    async def admit(self, origin: Origin, now: datetime) -> None:
        """Admit an activity; the first one after a reset rewinds the run to what it knows.

        One whose attempt before has written what the store has lost leaves the seqs of that out.

        Raises:
            FencedError: A reset has ended the execution that it comes from.
            StoreUnavailableError: The database failed.
        """

        def job(tx: Tx) -> None:
            admit(tx, origin, now)
            skip_seen(tx, origin.run_id, origin.seen)

        if origin.seen or not await self._database.read(lambda tx: is_newest(tx, origin)):
            await self._database.write(job)

    async def dispatched(self, run_id: str) -> None:
        """Note that the run's workflow was started."""
        await self._database.write(lambda tx: run_sql(tx, "UPDATE runs SET dispatched = TRUE WHERE id = ?", run_id))

    async def note_stopping(self, run_id: str) -> None:
        """Note that the calls of a run are to stop, until it has ended.

        Raises:
            StoreUnavailableError: The database failed.
        """
        note = "UPDATE runs SET stopping = TRUE WHERE id = ? AND ended_at IS NULL"
        await self._database.write(lambda tx: run_sql(tx, note, run_id))

    async def stopping(self) -> list[str]:
        """The runs whose calls are to stop.

        Raises:
            StoreUnavailableError: The database failed.
        """
        find = "SELECT id FROM runs WHERE stopping"
        return await self._database.read(lambda tx: list(run_sql(tx, find).scalars()))

    async def finish(self, finish: Finish, now: datetime) -> tuple[Finished, RunOrder | None]:
        """End a run: close what is open, write the end, release the thread. A second time changes nothing.

        Returns:
            The end as it was written, and the order of the thread's next run if that may start now.

        Raises:
            LostRunError: There is no such run.
            MessagesPendingError: Messages are pending.
            StoreUnavailableError: The database failed.
        """
        return await self._database.write(lambda tx: _finish(tx, finish, now))

    async def note_ignored(self, ignore: Ignore, now: datetime) -> Ignored:
        """Write to the log which signals are ignored. A second time changes nothing.

        Raises:
            FencedError: The run has ended.
            LostRunError: There is no such run.
            StoreUnavailableError: The database failed.
        """

        def job(tx: Tx) -> Ignored:
            lock(tx, ignore.run_id)
            if known := find(tx, ignore.run_id, f"ignored:{ignore.index}", Ignored):
                return known
            lock_open(tx, ignore.run_id)
            return write(tx, ignore.run_id, Ignored(ignore=ignore, stamp=Stamp(first=0, at=now)))

        return await self._database.write(job)

    async def finish_queued(self, finish: Finish, now: datetime) -> bool:
        """End a run that still waits for its thread; false if it does not (any more), and then nothing happens.

        Raises:
            StoreUnavailableError: The database failed.
        """

        def job(tx: Tx) -> bool:
            lock(tx, finish.run_id)
            row = find_row(tx, RunRow, col(RunRow.id) == finish.run_id, col(RunRow.status) == "queued")
            if row is None or find_row(tx, ThreadRow, col(ThreadRow.active_run) == row.id) is not None:
                return False
            _finish(tx, finish, now)
            return True

        return await self._database.write(job)

    async def get(self, run_id: str) -> RunRow | None:
        """One run."""
        return await self._database.read(lambda tx: find_row(tx, RunRow, col(RunRow.id) == run_id))

    async def order(self, run_id: str) -> RunOrder | None:
        """What a run was started with."""
        find = 'SELECT "order" FROM runs WHERE id = ?'
        order: str | None = await self._database.read(lambda tx: run_sql(tx, find, run_id).scalar())
        return RunOrder.model_validate_json(order) if order else None

    async def find(self, which: RunFilter) -> list[RunRow]:
        """Runs, newest first."""
        query = select(RunRow).order_by(col(RunRow.id).desc()).limit(which.most)
        for column, value in (
            (RunRow.status, which.status),
            (RunRow.agent, which.agent),
            (RunRow.thread_id, which.thread),
        ):
            if value is not None:
                query = query.where(col(column) == value)
        if which.before is not None:
            query = query.where(col(RunRow.id) < which.before)
        async with self._database.session() as session:
            return list(await session.exec(query))

    async def undispatched(self, before: datetime) -> list[RunOrder]:
        """Runs that were accepted before a time, have their thread, and whose workflow nobody has started."""
        query = (
            select(col(RunRow.order))
            .join(ThreadRow, col(ThreadRow.active_run) == col(RunRow.id))
            .where(col(RunRow.status) == "queued", col(RunRow.dispatched).is_(False), col(RunRow.created_at) < before)
            .order_by(col(RunRow.id))
        )
        async with self._database.session() as session:
            return [RunOrder.model_validate_json(order) for order in await session.exec(query)]

    async def usages(self, run_ids: Sequence[str]) -> dict[str, Usage]:
        """What the messages of some runs have used so far."""
        query = select(StepRow.run_id, StepRow.usage).where(col(StepRow.run_id).in_(run_ids))
        found: dict[str, Usage] = defaultdict(Usage)
        async with self._database.session() as session:
            for run_id, usage in await session.exec(query.where(col(StepRow.usage).is_not(None))):
                found[run_id] += Usage.model_validate_json(usage or "{}")
        return found

    async def active(self) -> frozenset[str]:
        """Runs whose workflow was started and that have not ended."""
        query = select(col(RunRow.id)).where(col(RunRow.status).in_(OPEN), col(RunRow.dispatched).is_(True))
        async with self._database.session() as session:
            return frozenset(await session.exec(query))


def insert_run(tx: Tx, order: RunOrder, position: int, idempotency: tuple[str | None, str | None]) -> None:
    """Insert the rows of an accepted run at a position of its thread, without its events."""
    insert_into(
        tx,
        "runs",
        id=order.run_id,
        thread_id=order.thread_id,
        position=position,
        agent=order.agent.name,
        status="queued",
        dispatched=False,
        rewound=False,
        stopping=False,
        step=0,
        turn=1,
        usage="{}",
        order=order.model_dump_json(exclude_none=True),
        idempotency_key=idempotency[0],
        idempotency_hash=idempotency[1],
        created_at=order.accepted_at,
    )
    apply_order(tx, order)


def _accept(tx: Tx, acceptance: Acceptance) -> Accepted:
    order = acceptance.order
    if acceptance.key and (known := find_row(tx, RunRow, col(RunRow.idempotency_key) == acceptance.key)):
        if known.idempotency_hash != acceptance.digest:
            raise KeyReusedError(f"the Idempotency-Key was used for run {known.id} with another body")
        following = next_run(tx, known.thread_id)
        return Accepted(known.id, created=False, ready=following is not None and following.run_id == known.id)
    active = take_thread(tx, order)
    if active != order.run_id and acceptance.on_busy == "reject":
        raise ThreadBusyError(active)
    last = run_sql(tx, "SELECT COALESCE(MAX(position), 0) FROM runs WHERE thread_id = ?", order.thread_id).scalar_one()
    insert_run(tx, order, last + 1, (acceptance.key, acceptance.digest))
    insert_into(tx, "heads", run_id=order.run_id, last_seq=0)
    append(tx, Append(order.run_id, "accepted", [record.accepted(order)]))
    return Accepted(order.run_id, created=True, ready=active == order.run_id)


def _finish(tx: Tx, finish: Finish, now: datetime) -> tuple[Finished, RunOrder | None]:
    run_id, reason = finish.run_id, finish.outcome.stop_reason
    lock(tx, run_id)
    row = run_sql(tx, "SELECT thread_id, turn FROM runs WHERE id = ?", run_id).first()
    if row is None:
        raise LostRunError(f"the store has no run {run_id}")
    if known := find(tx, run_id, END, Finished):
        return known, next_run(tx, row.thread_id)
    if finish.drains and (count := pending_messages(tx, run_id)):
        raise MessagesPendingError(f"{count} messages to run {run_id} are on their way")
    carried = unacknowledged(tx, finish)
    finished = Finished(
        finish=finish.model_copy(update={"turn": row.turn}),  # unacknowledged verdicts may have started another one
        turn_id=turn_id_of(tx, run_id, row.turn),
        open_steps=close_open_steps(tx, run_id, now),
        closed=close_open_calls(tx, run_id, reason, now),
        stamp=Stamp(first=0, at=now),
        rewinds=rewinds(tx, run_id),
        unacknowledged=carried,
    )
    finished = write(tx, run_id, finished, text=last_answer(tx, run_id))
    return finished, pass_thread_on(tx, row.thread_id, run_id)
