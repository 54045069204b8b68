"""Failpoints: named lines of the product at which a process can be made to stop, so that it is killed exactly there.

``LONGRUN_STOP_AT`` names a failpoint; ``NAME#3`` is the third time that the process reaches it. The process then
appends a line to the file ``LONGRUN_STOP_FILE``, the failpoint and its own pid, and stops itself by SIGSTOP before
anything else in it runs. The test that watches the file kills it, or kills another process and continues this one by
SIGCONT. It stops once; if the test has removed the file before it continues, it stops the next time, too.
Both variables are read when this module is imported; without them a failpoint costs one comparison.
"""

import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Failpoint = Literal[
    "run accepted",  # gateway: committed, its workflow is not started
    "decision accepted",  # gateway: in the outbox, not sent
    "decision delivered",  # gateway: sent, the outbox does not know it
    "cancel accepted",  # gateway: in the outbox, not sent
    "call received",  # worker: Temporal has sent it a call, of which nobody else knows
    "model called",  # worker: the provider has sent nothing yet; without background mode
    "answer identified",  # worker: the answer has a resume point, and no text yet
    "text written",  # worker: a delta of text is committed
    "arguments written",  # worker: a delta of a call's arguments is committed
    "message written",  # worker: the message is committed, Temporal does not know it
    "read started",  # worker: a tool that only reads is about to run
    "read ended",  # worker: it has run, its result is not committed
    "write started",  # worker: a tool with an effect is about to run
    "write ended",  # worker: it has run, its result is not committed
    "result written",  # worker: a tool's result is committed, Temporal does not know it
    "pause written",  # worker: the question is committed, Temporal does not know it
    "verdict written",  # worker: a decision is committed, Temporal does not know it
    "finishing",  # worker: the end is about to be written
    "finished",  # worker: the end is committed, Temporal does not know it
    "thread passed on",  # worker: the same, and the thread's next run is not started
]


class _Stop:
    """Stops this process when it reaches a failpoint for the nth time."""

    def __init__(self, at: str, file: Path) -> None:
        self._failpoint, _, number = at.partition("#")
        self._remaining = int(number or 1)
        self._file = file

    def reach(self, failpoint: Failpoint) -> None:
        if failpoint != self._failpoint:
            return
        self._remaining -= 1
        if self._remaining == 0:
            with self._file.open("a") as file:
                file.write(f"{failpoint}\t{os.getpid()}\n")
            # To this thread: it must not run on while another one takes the signal.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
            self._remaining = 0 if self._file.exists() else 1


def _stop(environ: Mapping[str, str]) -> _Stop | None:
    at, file = environ.get("LONGRUN_STOP_AT"), environ.get("LONGRUN_STOP_FILE")
    return _Stop(at, Path(file)) if at and file else None


_STOP = _stop(os.environ)


def reached(failpoint: Failpoint) -> None:
    """Mark a failpoint; the process stops here if ``LONGRUN_STOP_AT`` names it."""
    if _STOP is not None:
        _STOP.reach(failpoint)
