"""Processes that a test did not start itself, and looks at from outside."""

from pathlib import Path


def alive(pid: int) -> bool:
    """Whether a process is there and is more than a record of its end."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
