"""Leases of workers that share an SQLite file: a file each, which is locked while its process lives.

The lock says what no clock can: the system frees it at the moment at which the process is gone, and not before, however
busy the machine is and whatever holds the process up. A worker that has its lock and does not touch its file is frozen.
"""

import fcntl
import os
import threading
from contextlib import suppress
from pathlib import Path

from typing_extensions import override

from longrun.store.db.engines import StoreUnavailableError
from longrun.store.leases.lease import BEAT, Beats, Lease, Leases


class FileLease(Lease):
    """The lease of this process.

    Args:
        folder: Where the leases are.
        worker: Its name, unlike that of any other.
    """

    def __init__(self, folder: Path, worker: str) -> None:
        self._path = folder / worker
        self._released = threading.Event()
        self._thread: threading.Thread | None = None
        self._file = -1

    @override
    def hold(self) -> None:
        try:
            self._file = self._taken()
        except OSError as error:
            raise StoreUnavailableError(f"the lease of this worker cannot be taken: {error}") from error
        os.register_at_fork(after_in_child=self._let_go)
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def _let_go(self) -> None:
        """In a child that a tool has forked: it is not to keep the lease of a worker that has died."""
        if not self._released.is_set():
            os.close(self._file)

    def _taken(self) -> int:
        """A locked file, which has its name only then."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(f".{self._path.name}")
        file = os.open(fresh, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        fresh.rename(self._path)
        return file

    def _renew(self) -> None:
        while not self._released.wait(BEAT):
            with suppress(OSError):  # a folder that is gone comes back
                os.utime(self._file)
                if not self._path.exists():  # others took this process for frozen
                    before, self._file = self._file, self._taken()
                    os.close(before)
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        os.close(self._file)

    @override
    def release(self) -> None:
        self._released.set()
        if self._thread is not None:
            self._thread.join()


class FileLeases(Leases):
    """The leases in a folder.

    Args:
        folder: Where they are.
        beats: Tells who is frozen.
    """

    def __init__(self, folder: Path, beats: Beats | None = None) -> None:
        self._folder = folder
        self._beats = beats or Beats()

    @override
    async def expired(self) -> list[str]:
        found = [path for path in self._folder.glob("*") if not path.name.startswith(".")]
        return [path.name for path in found if self._has_expired(path)]

    def _has_expired(self, path: Path) -> bool:
        try:
            file = os.open(path, os.O_RDWR)
        except OSError:  # it is given back, or no lease
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return self._beats.frozen(self._beats.silent(path.name, os.fstat(file).st_mtime_ns))
        else:
            return True
        finally:
            os.close(file)

    @override
    async def forget(self, worker: str) -> bool:
        self._beats.forget(worker)
        try:
            (self._folder / worker).unlink()
        except OSError:
            return False
        return True
