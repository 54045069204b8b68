"""Writes: grouped, each for itself, never torn."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import create_engine, text
from sqlmodel import col, select

from longrun.store.db.database import Database, StoreUnavailableError, Tx, touch
from longrun.store.db.engines import StoreRefusedError, driver
from longrun.store.db.sql import find_row, insert_row
from longrun.store.db.tables import ThreadRow
from tests.build import START, Stores
from tests.store.db.cluster import Cluster


def add(name: str, run_id: str | None = None) -> "AddThread":
    return AddThread(name, run_id)


class AddThread:
    """A write: a thread of this name, perhaps as news of a run."""

    def __init__(self, name: str, run_id: str | None) -> None:
        self.row = ThreadRow(id=name, created_at=START)
        self.run_id = run_id

    def __call__(self, tx: Tx) -> str:
        insert_row(tx, self.row)
        if self.run_id:
            touch(tx, self.run_id)
        return self.row.id


def delete(url: str) -> None:
    Path(url.removeprefix("sqlite:///")).unlink()


async def names_by_session(database: Database) -> set[str]:
    async with database.session() as session:
        return set(await session.exec(select(col(ThreadRow.id))))


async def names_by_thread(database: Database) -> set[str]:
    return set(await database.read(lambda tx: tx.execute(select(col(ThreadRow.id))).scalars()))


async def names(database: Database) -> set[str]:
    """What is there, read both ways."""
    found = await names_by_session(database)
    assert await names_by_thread(database) == found
    return found


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.aclose()


async def test_many_writes_at_once_are_all_committed_and_answered(database: Database) -> None:
    wanted = [f"t{n}" for n in range(300)]
    assert await asyncio.gather(*(database.write(add(name)) for name in wanted)) == wanted
    assert await names(database) == set(wanted)


async def test_a_write_that_fails_hurts_none_of_its_group(database: Database) -> None:
    def fail(tx: Tx) -> str:
        insert_row(tx, ThreadRow(id="half", created_at=START))
        raise LookupError("mine")

    def refused(tx: Tx) -> str:
        tx.execute(text("INSERT INTO nowhere VALUES (1)"))
        return ""

    jobs = [add("a"), fail, add("b"), refused, add("b"), add("c")]
    results = await asyncio.gather(*(database.write(job) for job in jobs), return_exceptions=True)
    assert [type(result) for result in results] == [
        str,
        LookupError,
        str,
        StoreUnavailableError,
        StoreRefusedError,
        str,
    ]
    assert await names(database) == {"a", "b", "c"}


async def test_a_session_that_fails_says_why_without_what_was_asked_for(database: Database) -> None:
    query = text("SELECT 1 FROM nowhere WHERE name = :name").bindparams(name="secret")
    with pytest.raises(StoreUnavailableError, match="nowhere") as failed:
        async with database.session() as session:
            await (await session.connection()).execute(query)
    assert "secret" not in str(failed.value)


async def test_a_write_that_lost_a_race_is_run_once_more(database: Database) -> None:
    """As it happens on PostgreSQL, where two processes may both see that a row is not there."""
    seen: list[bool] = []

    def insert_if_missing(tx: Tx) -> bool:
        known = not seen or find_row(tx, ThreadRow, col(ThreadRow.id) == "raced") is None
        seen.append(known)
        if known:
            insert_row(tx, ThreadRow(id="raced", created_at=START))
        return known

    await database.write(add("raced"))
    assert await database.write(insert_if_missing) is False
    assert seen == [True, False]


async def test_a_cancelled_caller_does_not_tear_its_write(database: Database) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(tx: Tx) -> None:
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)
        insert_row(tx, ThreadRow(id="kept", created_at=START))

    writing = asyncio.create_task(database.write(slow))
    await started.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    go_on.set()
    await database.write(add("next"))
    assert await names(database) == {"kept", "next"}


async def test_news_name_the_runs_of_a_commit_and_only_of_commits(database_url: str) -> None:
    notified: list[frozenset[str]] = []
    database = Database(database_url, notified.append)
    await asyncio.gather(
        database.write(add("a", "run-1")),
        database.write(add("a", "run-2")),
        database.write(add("b", "run-3")),
        database.write(add("c")),
        return_exceptions=True,
    )
    await database.aclose()
    assert frozenset().union(*notified) == {"run-1", "run-3"}
    assert all(notified)


async def test_news_that_fail_do_not_fail_the_write(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    def tell(run_ids: frozenset[str]) -> None:
        raise OSError(f"no way to tell of {len(run_ids)}")

    database = Database(database_url, tell)
    assert await database.write(add("a", "run-1")) == "a"
    assert await database.write(add("b")) == "b"
    await database.aclose()
    assert "could not notify of a commit" in caplog.text


async def test_closing_finishes_the_waiting_writes(database_url: str) -> None:
    database = Database(database_url)
    writing = [asyncio.create_task(database.write(add(f"t{n}"))) for n in range(50)]
    await asyncio.sleep(0)
    await database.aclose()
    assert [await write for write in writing] == [f"t{n}" for n in range(50)]
    await database.aclose()
    for refused in (names_by_session(database), names_by_thread(database), database.write(add("late"))):
        with pytest.raises(StoreUnavailableError, match="closed"):
            await refused
    again = Database(database_url)
    assert len(await names(again)) == 50
    await again.aclose()


async def test_a_loop_that_is_gone_does_not_stop_the_writer(database_url: str) -> None:
    database = Database(database_url)

    async def leave() -> None:
        write = asyncio.ensure_future(database.write(add("orphan")))
        await asyncio.sleep(0)
        write.cancel()

    await asyncio.to_thread(lambda: asyncio.run(leave()))
    assert await database.write(add("next")) == "next"
    assert await names(database) == {"orphan", "next"}
    await database.aclose()


async def test_a_database_that_another_process_locks_is_away_and_nobody_waits_for_ever(sqlite_url: str) -> None:
    database = Database(sqlite_url, patience=0.01)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    results = await asyncio.gather(*(database.write(add(f"t{n}")) for n in range(20)), return_exceptions=True)
    assert {type(result) for result in results} == {StoreUnavailableError}
    other.execute("ROLLBACK")
    other.close()
    assert await database.write(add("then")) == "then"
    await database.aclose()


async def test_a_row_that_another_process_locks_does_not_hold_a_write_for_ever(postgres_url: str) -> None:
    database = Database(postgres_url, patience=0.01)
    await database.write(add("t"))
    lock = text("SELECT id FROM threads FOR UPDATE")
    other = create_engine(driver(postgres_url))
    with other.begin() as holding:
        holding.execute(lock)
        with pytest.raises(StoreUnavailableError, match="lock timeout"):
            await database.write(lambda tx: tx.execute(lock) and None)
    other.dispose()
    assert await database.write(add("then")) == "then"
    await database.aclose()


async def test_a_file_that_is_deleted_while_we_run_is_made_again(sqlite_url: str) -> None:
    database, other = Database(sqlite_url), Database(sqlite_url)
    await database.write(add("before"))
    assert await names(database) == await names(other) == {"before"}
    delete(sqlite_url)
    assert await names(other) == set()
    await database.write(add("after"))
    await other.write(add("too"))
    assert await names(database) == await names(other) == {"after", "too"}
    delete(sqlite_url)
    results = await asyncio.gather(*(names(reader) for reader in (database, other, database)))
    assert results == [set(), set(), set()]
    await database.aclose()
    await other.aclose()
    delete(sqlite_url)


async def test_a_file_that_cannot_be_read_is_a_store_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "longrun.db").write_bytes(b"this is no database, whatever its name says" * 100)
    database = Database(f"sqlite:///{tmp_path}/longrun.db")
    for names_by in (names_by_session, names_by_thread):
        with pytest.raises(StoreUnavailableError, match="could not be read"):
            await names_by(database)
    with pytest.raises(StoreUnavailableError, match="could not be written"):
        await database.write(add("x"))
    await database.aclose()


async def test_a_server_that_comes_back_is_found_again(cluster: Cluster) -> None:
    url = cluster.fresh()
    database = Database(url)
    await database.write(add("before"))
    assert await names(database) == {"before"}
    cluster.hang_up(url)
    assert await database.write(add("after")) == "after"
    assert await names(database) == {"before", "after"}
    await database.aclose()


async def test_a_server_that_is_not_there_is_a_store_that_is_away(tmp_path: Path) -> None:
    database = Database(f"postgresql://postgres@/longrun?host={tmp_path}")
    with pytest.raises(StoreUnavailableError, match="could not be written"):
        await database.write(add("x"))
    for names_by in (names_by_session, names_by_thread):
        with pytest.raises(StoreUnavailableError, match="could not be read"):
            await names_by(database)
    await database.aclose()


async def test_times_come_back_in_utc(store: Stores) -> None:
    order = await store.accept()
    row = await store.runs.get(order.run_id)
    assert row is not None
    assert row.created_at == START
    assert row.created_at.utcoffset() == START.utcoffset()
    assert row.ended_at is None
