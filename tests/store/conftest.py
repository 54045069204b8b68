"""Every test of the store runs over an SQLite file and, where PostgreSQL is to be had, over a database of that."""

import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from longrun.store.db.schema import migrate
from tests.build import Stores
from tests.store.db.cluster import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One server for all tests; ours alone, gone afterwards."""
    initdb, postgres = shutil.which("initdb"), shutil.which("postgres")
    if initdb is None or postgres is None:
        pytest.skip("no PostgreSQL: initdb and postgres are not on PATH")
    user = None
    if os.geteuid() == 0:
        users = {entry.pw_name for entry in pwd.getpwall()}
        user = next((name for name in ("postgres", "nobody") if name in users), None)
        if user is None:
            pytest.skip("PostgreSQL does not run as root and there is no other user")
    folder = Path(tempfile.mkdtemp(prefix="longrun-pg-"))
    if user:
        shutil.chown(folder, user)
    ours = Cluster(folder, user)
    try:
        # A locale that is not byte order, where there is one: nothing in the store may depend on it.
        icu = ("--locale-provider=icu", "--icu-locale=en") if "--icu-locale" in ours.run(initdb, "--help") else ()
        ours.run(initdb, "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", *icu)
        ours.start(postgres)
        ours.execute("CREATE DATABASE longrun")
        migrate(ours.url("longrun"))
        yield ours
    finally:
        ours.stop()
        shutil.rmtree(folder)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """An SQLite file with our schema."""
    url = f"sqlite:///{tmp_path / 'longrun.db'}"
    migrate(url)
    return url


@pytest.fixture
def postgres_url(cluster: Cluster) -> str:
    """A PostgreSQL database with our schema."""
    return cluster.fresh()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A database with our schema, of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest_asyncio.fixture
async def store(database_url: str) -> AsyncIterator[Stores]:
    """The store over a database of each kind."""
    stores = Stores.over(database_url)
    yield stores
    await stores.database.aclose()
