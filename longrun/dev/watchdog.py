"""Ends the child processes of ``longrun dev`` when ``longrun dev`` itself was killed and could not.

A process of its own, on the standard library alone. It reads ``+PID`` and ``-PID`` lines from a pipe whose other end
only ``longrun dev`` holds: when the pipe ends, each process group that is still on the list is killed.
This works on every Unix, where a parent-death signal would need Linux and a launcher around each child process.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterable


def kill_what_remains(lines: Iterable[str]) -> set[int]:
    """Read the list to its end, then kill the groups that are on it; returns them."""
    groups: set[int] = set()
    for line in lines:
        change = groups.add if line.startswith("+") else groups.discard
        change(int(line[1:]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    return groups


if __name__ == "__main__":
    kill_what_remains(sys.stdin)
