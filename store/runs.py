"""Runs: accepted once, queued on their thread, ended once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import col

from longrun.store.approvals import end_turn
from longrun.store.calls import Calls
from longrun.store.db.database import Database, Tx
from longrun.store.db.sql import find_row, insert_into, run_sql
from longrun.store.db.tables import RunRow, ThreadRow
from longrun.store.log import Append, FencedError, append, lock
from longrun.store.messages import insert_message
from longrun.store.repair.rewind import Arrival, arrive, is_known, load_reopenings
from longrun.store.repair.unacknowledged import unheard
from longrun.store.steps import Steps
from longrun.store.threads import next_run, pass_thread_on, take_thread
from longrun.workflows import record
from longrun.workflows.contract.messages import Message
from longrun.workflows.contract.runs import FINAL, OnBusy, RunOrder
from longrun.workflows.contract.steps import Finish, Finished, Stamp

_ENDING = (
    "SELECT r.thread_id, r.status, r.turn, r.finished, r.reopened, l.turn_id"
    " FROM runs AS r JOIN turns AS l ON l.run_id = r.id AND l.turn = r.turn WHERE r.id = ?"
)


class KeyReusedError(Exception):
    """The idempotency key belongs to a run with another body."""


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
        self._steps = Steps(database)
        self._calls = Calls(database)

    async def accept(self, acceptance: Acceptance) -> Accepted:
        """Commit a run and its ``run.accepted`` event; the same key again gives the same run.

        Raises:
            KeyReusedError: The key was used with another body.
            ThreadBusyError: The thread is busy and ``on_busy`` is ``reject``.
            StoreUnavailableError: The database failed.
        """
        return await self._database.write(lambda tx: self._accept(tx, acceptance))

    def _accept(self, tx: Tx, acceptance: Acceptance) -> Accepted:
        order = acceptance.order
        if acceptance.key and (known := find_row(tx, RunRow, col(RunRow.idempotency_key) == acceptance.key)):
            if known.idempotency_hash != acceptance.digest:
                raise KeyReusedError(f"the Idempotency-Key was used for run {known.id} with another body")
            following = next_run(tx, known.thread_id)
            return Accepted(known.id, created=False, ready=following is not None and following.run_id == known.id)
        active = take_thread(tx, order)
        if active != order.run_id and acceptance.on_busy == "reject":
            raise ThreadBusyError(active)
        self.insert(tx, order, (acceptance.key, acceptance.digest))
        append(tx, Append(order.run_id, "started", [record.started(order)], once=False))
        return Accepted(order.run_id, created=True, ready=active == order.run_id)

    def insert(self, tx: Tx, order: RunOrder, idempotency: tuple[str | None, str | None]) -> None:
        """Insert a run's rows, without its events."""
        at = order.accepted_at
        places = "SELECT COALESCE(MAX(place), 0) FROM runs WHERE thread_id = ?"
        insert_into(
            tx,
            "runs",
            id=order.run_id,
            thread_id=order.thread_id,
            place=run_sql(tx, places, order.thread_id).scalar_one() + 1,
            agent=order.agent.name,
            status="queued",
            dispatched=False,
            step=0,
            turn=1,
            usage="{}",
            order=order.model_dump_json(exclude_none=True),
            idempotency_key=idempotency[0],
            idempotency_hash=idempotency[1],
            created_at=at,
        )
        insert_into(tx, "heads", run_id=order.run_id, last_seq=0)
        turn_id = record.turn_id(order.run_id, 1, at)
        insert_into(tx, "turns", run_id=order.run_id, turn=1, turn_id=turn_id, first_seq=1)
        insert_message(tx, order.run_id, (0, 0), order.input)

    async def arrive(self, arrival: Arrival, now: datetime) -> None:
        """Let an activity in; the first one after a reset takes back what the run has yet to do.

        Raises:
            FencedError: A reset has ended the execution that it comes from.
            StoreUnavailableError: The database failed.
        """
        if not await self._database.read(lambda session: is_known(session.connection(), arrival)):
            await self._database.write(lambda tx: arrive(tx, arrival, now))

    async def dispatched(self, run_id: str) -> None:
        """Remember that the run's workflow was started."""
        await self._database.write(lambda tx: run_sql(tx, "UPDATE runs SET dispatched = TRUE WHERE id = ?", run_id))

    async def finish(self, finish: Finish, now: datetime) -> tuple[Finished, RunOrder | None]:
        """End a run: close what is open, write the end, release the thread. A second time changes nothing.

        Returns:
            What the end left in the log, and the order of the thread's next run if that may start now.

        Raises:
            FencedError: There is no such run.
            StoreUnavailableError: The database failed.
        """
        return await self._database.write(lambda tx: self._finish(tx, finish, now))

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
            self._finish(tx, finish, now)
            return True

        return await self._database.write(job)

    def _finish(self, tx: Tx, finish: Finish, now: datetime) -> tuple[Finished, RunOrder | None]:
        run_id, outcome = finish.run_id, finish.outcome
        lock(tx, run_id)
        row = run_sql(tx, _ENDING, run_id).first()
        if row is None:
            raise FencedError(f"there is no run {run_id}")
        if row.finished is not None:
            return Finished.model_validate_json(row.finished), next_run(tx, row.thread_id)
        news = unheard(tx, finish)
        finish = finish.model_copy(update={"turn": row.turn})  # verdicts of which it has not heard may have begun it
        opened = self._steps.close_open(tx, run_id, now)
        closed = self._calls.close_open(tx, run_id, outcome.stop_reason, now)
        output = _output(tx, run_id)
        span = append(tx, Append(run_id, "finish", record.ending(finish, row.turn_id, now, output), once=False))
        stamp, resets = Stamp(first=span.first, at=now), load_reopenings(row.reopened)
        finished = Finished(finish=finish, open_steps=opened, closed=closed, stamp=stamp, reopened=resets, unheard=news)
        end_turn(tx, run_id, row.turn, span.last, outcome.stop_reason)
        if row.status == "waiting":
            cancel = "UPDATE approvals SET status = 'cancelled', decided_at = ? WHERE run_id = ? AND status = 'pending'"
            run_sql(tx, cancel, now, run_id)
        _write_end(tx, finished, output)
        return finished, pass_thread_on(tx, row.thread_id, run_id)

    async def get(self, run_id: str) -> RunRow | None:
        """One run."""
        return await self._database.read(lambda session: session.get(RunRow, run_id))

    async def order(self, run_id: str) -> RunOrder | None:
        """What a run was started with."""
        find = 'SELECT "order" FROM runs WHERE id = ?'
        order: str | None = await self._database.read(
            lambda session: run_sql(session.connection(), find, run_id).scalar()
        )
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
        return list(await self._database.read(lambda session: session.scalars(query).all()))

    async def undispatched(self, before: datetime) -> list[RunOrder]:
        """Runs that were accepted before a time, have their thread, and whose workflow nobody has started."""
        query = (
            select(col(RunRow.order))
            .join(ThreadRow, col(ThreadRow.active_run) == col(RunRow.id))
            .where(col(RunRow.status) == "queued", col(RunRow.dispatched).is_(False), col(RunRow.created_at) < before)
            .order_by(col(RunRow.id))
        )
        orders = await self._database.read(lambda session: session.scalars(query).all())
        return [RunOrder.model_validate_json(order) for order in orders]

    async def active(self) -> list[RunRow]:
        """Runs whose workflow was started and that have not ended."""
        query = select(RunRow).where(col(RunRow.status).not_in(FINAL), col(RunRow.dispatched).is_(True))
        return list(await self._database.read(lambda session: session.scalars(query).all()))

    async def write(self, job: Callable[[Tx], None]) -> None:
        """Run a write of the caller's own on the run's tables."""
        await self._database.write(job)


def _write_end(tx: Tx, finished: Finished, output: str) -> None:
    finish = finished.finish
    run_sql(
        tx,
        "UPDATE runs SET status = ?, stop_reason = ?, usage = ?, output = ?, finished = ?, ended_at = ? WHERE id = ?",
        finish.outcome.status,
        finish.outcome.stop_reason,
        finish.usage.model_dump_json(exclude_none=True),
        output,
        finished.model_dump_json(),
        finished.stamp.at,
        finish.run_id,
    )


def _output(tx: Tx, run_id: str) -> str:
    find = "SELECT body FROM messages WHERE run_id = ? AND role = 'assistant' ORDER BY step DESC LIMIT 1"
    body: str | None = run_sql(tx, find, run_id).scalar()
    return Message.model_validate_json(body).text if body else ""
