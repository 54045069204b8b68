"""Named places of the product, at which a process can be told to stop, so that it is killed exactly there.

``LONGRUN_STOP_AT`` names a place, or by ``PLACE#3`` the third time that the process comes to it. The process then adds
a line to the file ``LONGRUN_STOP_FILE``, the place and its own pid, and stops itself by SIGSTOP before anything else of
it runs. Whoever watches the file kills it, or kills another process and lets this one go on by SIGCONT. It stops once;
if the file has been taken away when it goes on, it stops the next time, too.
Both variables are read when this module is imported; without them a place costs one comparison.
"""

import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Place = Literal[
    "run accepted",  # gateway: committed, its workflow is not started
    "decision accepted",  # gateway: in the outbox, not sent
    "decision delivered",  # gateway: sent, the outbox does not know it
    "cancel accepted",  # gateway: in the outbox, not sent
    "model asked",  # worker: the provider has answered with nothing yet; without background mode
    "answer named",  # worker: the answer can be taken up again, nothing of it has come
    "text written",  # worker: a delta of text is committed
    "arguments written",  # worker: a delta of a call's arguments is committed
    "message written",  # worker: the message is committed, Temporal does not know it
    "read begun",  # worker: a tool that only reads is about to run
    "read done",  # worker: it has run, its result is not committed
    "write begun",  # worker: a tool with an effect is about to run
    "write done",  # worker: it has run, its result is not committed
    "result written",  # worker: a tool's result is committed, Temporal does not know it
    "pause written",  # worker: the question is committed, Temporal does not know it
    "verdict written",  # worker: a decision is committed, Temporal does not know it
    "finishing",  # worker: the end is about to be written
    "finished",  # worker: the end is committed, Temporal does not know it
    "thread passed on",  # worker: the same, and the thread's next run is not started
]


class _Stop:
    """Stops this process when it comes to a place for the nth time."""

    def __init__(self, at: str, file: Path) -> None:
        self._place, _, number = at.partition("#")
        self._left = int(number or 1)
        self._file = file

    def pass_by(self, place: Place) -> None:
        if place != self._place:
            return
        self._left -= 1
        if self._left == 0:
            with self._file.open("a") as file:
                file.write(f"{place}\t{os.getpid()}\n")
            # To this thread: it must not run on while another one takes the signal.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
            self._left = 0 if self._file.exists() else 1


def _stop(environ: Mapping[str, str]) -> _Stop | None:
    at, file = environ.get("LONGRUN_STOP_AT"), environ.get("LONGRUN_STOP_FILE")
    return _Stop(at, Path(file)) if at and file else None


_STOP = _stop(os.environ)


def reached(place: Place) -> None:
    """Say that this process is at a place; it stops there if it was told to."""
    if _STOP is not None:
        _STOP.pass_by(place)
