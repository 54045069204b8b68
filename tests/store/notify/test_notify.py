"""News between the processes of one machine, and between machines."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from longrun.store.notify.datagrams import DatagramListener, DatagramNotifier
from longrun.store.notify.postgres import NotifyListener
from tests.build import Stores
from tests.patience import PATIENCE
from tests.store.db.cluster import Cluster


class Ear:
    """Keeps what it is notified of."""

    def __init__(self) -> None:
        self.notified: set[str] = set()
        self._news = asyncio.Event()

    def __call__(self, run_ids: set[str]) -> None:
        self.notified |= run_ids
        self._news.set()

    async def until(self, wanted: Callable[[set[str]], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not wanted(self.notified):
                await self._news.wait()
                self._news.clear()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a name that is short enough for sockets."""
    with TemporaryDirectory(prefix="longrun-") as folder:
        yield Path(folder) / "notify"


def sockets(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_every_listener_hears_every_id(folder: Path) -> None:
    ears = Ear(), Ear()
    listeners = [DatagramListener(folder, ear) for ear in ears]
    for listener in listeners:
        listener.start()
    notifier = DatagramNotifier(folder)
    ids = frozenset(f"0190a0b0-0000-7000-8000-{n:012}" for n in range(500))
    notifier(ids)
    for ear in ears:
        await ear.until(ids.issubset)
    for listener in listeners:
        listener.close()
    notifier(frozenset({"nobody listens"}))
    notifier.close()
    assert sockets(folder) == []


async def test_a_folder_that_is_not_there_has_no_listeners(folder: Path) -> None:
    notifier = DatagramNotifier(folder)
    notifier(frozenset({"run-1"}))
    notifier.close()


async def test_the_socket_of_a_process_that_died_is_cleared_away(folder: Path) -> None:
    ear = Ear()
    listener = DatagramListener(folder, ear)
    listener.start()
    stale = folder / "1-dead.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(stale))
    notifier = DatagramNotifier(folder)
    notifier(frozenset({"run-1"}))
    await ear.until({"run-1"}.issubset)
    assert stale not in sockets(folder)
    notifier.close()
    listener.close()


async def test_a_listener_that_does_not_listen_holds_nobody_up(folder: Path) -> None:
    ear = Ear()
    listener = DatagramListener(folder, ear)
    notifier = DatagramNotifier(folder)
    for n in range(5000):
        notifier(frozenset({f"run-{n}"}))
    listener.start()
    await ear.until(lambda notified: "run-0" in notified)
    assert "run-4999" not in ear.notified
    notifier(frozenset({"run-5000"}))
    await ear.until(lambda notified: "run-5000" in notified)
    notifier.close()
    listener.close()


async def test_commits_notify(database_url: str, folder: Path) -> None:
    ear = Ear()
    listener = DatagramListener(folder, ear)
    listener.start()
    notifier = DatagramNotifier(folder)
    store = Stores.over(database_url, notifier)
    run = await store.accept()
    await ear.until({run.run_id}.issubset)
    await store.database.aclose()
    notifier.close()
    listener.close()


@asynccontextmanager
async def listening(url: str, ear: Ear) -> AsyncGenerator[None]:
    """Listen to the database while the block runs."""
    task = asyncio.create_task(NotifyListener(url, ear).serve())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_commits_notify_through_postgres(postgres_url: str) -> None:
    ear = Ear()
    store = Stores.over(postgres_url)
    async with listening(postgres_url, ear):
        while not ear.notified:  # until it listens
            await store.accept()
        runs = await asyncio.gather(*(store.accept() for _ in range(300)))
        await ear.until({run.run_id for run in runs}.issubset)
    await store.database.aclose()


async def test_a_listener_comes_back_after_its_connection_was_lost(cluster: Cluster) -> None:
    url = cluster.fresh()
    ear = Ear()
    store = Stores.over(url)
    async with listening(url, ear):
        for _ in range(2):
            ear.notified.clear()
            while not ear.notified:
                await store.accept()
            cluster.hang_up(url)
    await store.database.aclose()


async def test_where_no_socket_can_be_there_is_no_news_and_no_failure(folder: Path) -> None:
    far = folder / ("a" * 100)
    listener = DatagramListener(far, Ear())
    listener.start()
    notifier = DatagramNotifier(far)
    notifier(frozenset({"run"}))
    listener.close()
    notifier.close()
    assert sockets(far) == []
