"""The schema comes from Alembic alone, whoever starts first."""

import asyncio
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from longrun.store.db.engines import StoreUnavailableError, driver, prepare
from longrun.store.db.schema import migrate, newest, state
from longrun.store.db.tables import Row
from tests.store.db.cluster import Cluster

MIGRATE = "import sys; from store.db.schema import migrate; migrate(sys.argv[1])"


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that nobody has migrated."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/a%20folder/that is not there/longrun.db"
    cluster: Cluster = request.getfixturevalue("cluster")
    cluster.execute(f"CREATE DATABASE {(name := f'empty_{id(request)}')}")
    return cluster.url(name)


def test_the_migrated_tables_are_the_ones_in_the_code(empty_url: str) -> None:
    migrate(empty_url)
    engine = create_engine(driver(empty_url))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Row.metadata) == []
    engine.dispose()


def test_migrating_twice_changes_nothing_and_the_state_is_told(empty_url: str) -> None:
    before = state(empty_url)
    migrate(empty_url)
    migrate(empty_url)
    assert before == ("missing" if empty_url.startswith("sqlite") else "empty")
    assert state(empty_url) == newest() == "0001"


async def test_processes_that_start_at_once_migrate_together(empty_url: str) -> None:
    children = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", MIGRATE, empty_url, stderr=asyncio.subprocess.PIPE)
        for _ in range(3)
    ]
    outcomes = [await child.communicate() for child in children]
    assert [(child.returncode, error) for child, (_, error) in zip(children, outcomes, strict=True)] == [(0, b"")] * 3
    assert state(empty_url) == newest()


def test_a_database_of_a_newer_version_is_used_as_it_is(empty_url: str) -> None:
    migrate(empty_url)
    engine = create_engine(driver(empty_url))
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        connection.exec_driver_sql("ALTER TABLE steps ADD COLUMN colour VARCHAR")
    migrate(empty_url)
    assert state(empty_url) == "9999"
    engine.dispose()


def test_a_process_that_starts_waits_for_no_writer(empty_url: str) -> None:
    migrate(empty_url)
    engine = create_engine(driver(empty_url))
    prepare(engine, "BEGIN IMMEDIATE")
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM steps")
        migrate(empty_url)
    engine.dispose()


def test_a_file_without_our_tables_is_empty(tmp_path: Path) -> None:
    (tmp_path / "longrun.db").touch()
    assert state(f"sqlite:///{tmp_path}/longrun.db") == "empty"


def test_a_file_that_is_no_database_is_a_store_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "longrun.db").write_bytes(b"not a database, but long enough to have a header" * 100)
    with pytest.raises(StoreUnavailableError, match="not a database"):
        state(f"sqlite:///{tmp_path}/longrun.db")
    with pytest.raises(StoreUnavailableError, match="not a database"):
        migrate(f"sqlite:///{tmp_path}/longrun.db")


def test_a_server_that_is_not_there_is_a_store_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError):
        migrate(f"postgresql://postgres@/longrun?host={tmp_path}")


def test_another_kind_of_database_is_refused_by_its_setting() -> None:
    with pytest.raises(ValueError, match="LONGRUN_DATABASE_URL: mysql is not supported"):
        migrate("mysql://localhost/longrun")


def test_what_a_deleted_file_left_beside_it_is_not_taken_for_the_new_one(tmp_path: Path) -> None:
    (tmp_path / "longrun.db-wal").write_bytes(b"old")
    (tmp_path / "longrun.db-shm").write_bytes(b"old")
    migrate(f"sqlite:///{tmp_path}/longrun.db")
    assert state(f"sqlite:///{tmp_path}/longrun.db") == newest()
