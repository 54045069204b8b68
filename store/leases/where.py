"""Where the leases of a store's workers are: with an SQLite file in the folder beside it, else in the database."""

from pathlib import Path

from longrun.store.db.database import Database
from longrun.store.db.engines import sqlite_file
from longrun.store.leases.files import FileLease, FileLeases
from longrun.store.leases.lease import Beats, Lease, Leases
from longrun.store.leases.rows import RowLease, RowLeases


def _folder(file: Path) -> Path:
    return file.parent / "leases" / file.name


def lease_in(database: Database, worker: str) -> Lease:
    """The lease of a worker of this process."""
    file = sqlite_file(database.url)
    return FileLease(_folder(file), worker) if file else RowLease(database.url, worker)


def leases_in(database: Database, beats: Beats | None = None) -> Leases:
    """The leases of all workers."""
    file = sqlite_file(database.url)
    return FileLeases(_folder(file), beats) if file else RowLeases(database, beats)
