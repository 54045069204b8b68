"""The file by which the ``longrun dev`` over a home folder is found: who it is, and where its servers listen."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

_NAME = "dev.lock"


@dataclass(frozen=True)
class RunningDev:
    """A ``longrun dev``: its process, its gateway's base URL and its Temporal server's address."""

    pid: int
    api: str
    temporal: str


def lock_file(home: Path) -> Path:
    """The file; a ``longrun dev`` holds a lock on it as long as it runs."""
    return home / _NAME


def write_dev(lock: TextIO, dev: RunningDev | None) -> None:
    """Write into the open file who runs; ``None`` for nobody."""
    lock.seek(0)
    lock.truncate()
    if dev:
        lock.write(json.dumps(asdict(dev)) + "\n")
    lock.flush()


def running_dev(home: Path) -> RunningDev | None:
    """Who runs over a home folder. A file that was written by a process that is no more counts as none."""
    try:
        with lock_file(home).open() as file:
            given = json.loads(file.read())
            dev = RunningDev(int(given["pid"]), str(given["api"]), str(given["temporal"]))
            os.kill(dev.pid, 0)
            return dev if _is_locked(file) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_locked(file: TextIO) -> bool:
    """Whether somebody holds the lock: the number of a process that was killed may be another one's by now."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
