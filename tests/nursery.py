"""A process that has loaded the product, and brings up workers and gateways as forks of itself, which costs little.

Started as ``python -m tests.nursery``; it reads one ``Birth`` per line and answers with a pid. When its input ends, all
its children are killed and it ends too.
"""

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Literal

from pydantic import BaseModel, ConfigDict

from longrun.activities import worker
from longrun.gateway import app
from longrun.gateway.serve import serve
from longrun.runtime import failpoints
from longrun.runtime.settings import Settings

Kind = Literal["worker", "gateway"]


class Birth(BaseModel):
    """What to bring up: its whole environment, and the file that it writes its output to."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    environ: dict[str, str]
    log: Path


def status_file(log: Path, pid: int) -> Path:
    """Where the exit status of a child is written, as ``subprocess`` counts it, when it has ended."""
    return log.with_name(f"{log.name}.{pid}")


def _gateway() -> None:
    serve(Settings())


_MAINS: dict[Kind, Callable[[], None]] = {"worker": worker.main, "gateway": _gateway}
assert app.create_app, "loaded here, so that no child has to"


def _live(birth: Birth) -> None:
    """Be the child, to its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(birth.environ)
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(birth.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number, file in ((0, nothing), (1, log), (2, log)):
        os.dup2(file, number)
    importlib.reload(failpoints)  # it has read the environment of the parent
    status = 1
    try:
        _MAINS[birth.kind]()
        status = 0
    except BaseException:  # noqa: BLE001 - the edge of the process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _keep(status: int, file: Path) -> None:
    """Write a status down, whole or not at all."""
    draft = file.with_name(f"{file.name}.draft")
    with suppress(FileNotFoundError):  # the test is over, and so is its folder
        draft.write_text(str(status))
        draft.rename(file)


class _Children:
    """The children that have not ended."""

    def __init__(self) -> None:
        self._logs: dict[int, Path] = {}

    def add(self, birth: Birth) -> int:
        """Fork; the pid of the child."""
        pid = os.fork()
        if pid == 0:
            _live(birth)
        self._logs[pid] = birth.log
        self.reap()
        return pid

    def reap(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """Write down the status of each that has ended."""
        for pid, log in list(self._logs.items()):
            with suppress(ChildProcessError):  # the signal came in here, too
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    del self._logs[pid]
                    _keep(os.waitstatus_to_exitcode(status), status_file(log, pid))

    def kill(self) -> None:
        """Kill them all."""
        for pid in list(self._logs):
            os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Bring up what is asked for, to the end of the input."""
    children = _Children()
    signal.signal(signal.SIGCHLD, children.reap)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        pid = children.add(Birth.model_validate_json(line))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    children.kill()


if __name__ == "__main__":
    main()
