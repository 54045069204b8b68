"""Processes that a test did not start itself, and looks at from outside."""

from pathlib import Path


def state(pid: int) -> str | None:
    """The kernel's letter for how a process stands: ``T`` is stopped, ``Z`` only a record of its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def alive(pid: int) -> bool:
    """Whether a process is there and is more than a record of its end."""
    return state(pid) not in (None, "Z")
