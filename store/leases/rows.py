"""Leases of workers that share a PostgreSQL database, from any machine: a lock of a connection each, and a row.

The server frees the lock when the connection is gone, which it is when the process is; a machine that is gone does not
answer the server's keepalives. A connection can be lost without its process, which then makes another and renews its
row: so the lock counts together with the row.
"""

import logging
import os
import threading
from typing import Any
from zlib import crc32

from sqlalchemy import Connection, NullPool, create_engine
from typing_extensions import override

from longrun.store.db.database import Database, Tx
from longrun.store.db.engines import UNAVAILABLE, driver
from longrun.store.db.sql import run_sql
from longrun.store.leases.lease import BEAT, Beats, Lease, Leases

logger = logging.getLogger(__name__)

_CLASS = 0x6C6F6E67
"""The first number of the locks; the second is made of the worker's name."""
_PATIENCE = 10.0
"""Seconds for which the lease is waited for; later it is taken as soon as the database can be reached."""
_SILENT = 5
"""Looks without a lock and without a beat after which a worker is dead."""
_SOON_LOST = {
    "connect_timeout": 5,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
}
"""A connection whose other end is silent is lost within seconds, here as there."""
_KEEPALIVES = ("idle = 2", "interval = 1", "count = 3")
_TAKE = "SELECT pg_advisory_lock(?, ?)"
_BEAT = "INSERT INTO leases (worker, beat) VALUES (?, 1) ON CONFLICT (worker) DO UPDATE SET beat = leases.beat + 1"
_LOOK = "SELECT worker, beat FROM leases"
_HELD = (
    "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND classid = ? AND objsubid = 2 AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def _number(worker: str) -> int:
    return crc32(worker.encode()) & 0x7FFFFFFF


class RowLease(Lease):
    """The lease of this process.

    Args:
        url: The URL of the database.
        worker: Its name, unlike that of any other.
    """

    def __init__(self, url: str, worker: str) -> None:
        self._engine = create_engine(
            driver(url), poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=_SOON_LOST
        )
        self._worker = worker
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="lease", daemon=True)
        self._held = threading.Event()
        self._socket = -1

    @override
    def hold(self) -> None:
        os.register_at_fork(after_in_child=self._let_go)
        self._thread.start()
        self._held.wait(_PATIENCE)

    def _let_go(self) -> None:
        """In a child that a tool has forked: it is not to keep the lease of a worker that has died."""
        if self._socket >= 0:
            os.close(self._socket)

    def _serve(self) -> None:
        while not self._released.is_set():
            try:
                with self._engine.connect() as connection:
                    driver_connection: Any = connection.connection.driver_connection
                    self._socket = driver_connection.fileno()
                    self._renew(connection)
            except UNAVAILABLE as error:
                logger.warning("the lease of this worker cannot be renewed: %s", error)
                self._released.wait(BEAT / 2)
            finally:
                self._socket = -1

    def _renew(self, connection: Connection) -> None:
        for setting in _KEEPALIVES:
            connection.exec_driver_sql(f"SET tcp_keepalives_{setting}")
        run_sql(connection, _TAKE, _CLASS, _number(self._worker))
        while True:
            run_sql(connection, _BEAT, self._worker)
            self._held.set()
            if self._released.wait(BEAT):
                run_sql(connection, "DELETE FROM leases WHERE worker = ?", self._worker)
                return

    @override
    def release(self) -> None:
        self._released.set()
        self._thread.join(2 * BEAT)


class RowLeases(Leases):
    """The leases in a database.

    Args:
        database: Where they are.
        beats: Tells who is frozen.
    """

    def __init__(self, database: Database, beats: Beats | None = None) -> None:
        self._database = database
        self._beats = beats or Beats()

    @override
    async def expired(self) -> list[str]:
        def look(tx: Tx) -> tuple[dict[str, int], set[int]]:
            beats = {row.worker: row.beat for row in run_sql(tx, _LOOK)}
            return beats, {row.objid for row in run_sql(tx, _HELD, _CLASS)} if beats else set()

        beats, held = await self._database.read(look)
        silent = {worker: self._beats.silent(worker, beat) for worker, beat in beats.items()}
        return [
            worker
            for worker, looks in silent.items()
            if self._beats.frozen(looks) or (_number(worker) not in held and looks >= _SILENT)
        ]

    @override
    async def forget(self, worker: str) -> bool:
        self._beats.forget(worker)
        take_out = "DELETE FROM leases WHERE worker = ?"
        return bool(await self._database.write(lambda tx: run_sql(tx, take_out, worker).rowcount))
