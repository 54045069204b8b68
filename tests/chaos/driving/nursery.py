"""A process that has loaded the product, and brings up workers and gateways as forks of itself, which costs little.

Started as ``python -m tests.chaos.driving.nursery``; it reads one ``Birth`` per line and answers with a pid. When its
input ends, all its children are killed and it ends too.
"""

import importlib
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from longrun.activities import worker
from longrun.gateway import app
from longrun.gateway.serve import serve
from longrun.runtime import failpoints
from longrun.runtime.settings import Settings

Kind = Literal["worker", "gateway"]


class Birth(BaseModel):
    """What to bring up: its whole environment, and the file that it writes its words to."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    environ: dict[str, str]
    log: Path


def _gateway() -> None:
    serve(Settings())


_MAINS: dict[Kind, Callable[[], None]] = {"worker": worker.main, "gateway": _gateway}
assert app.create_app, "loaded here, so that no child has to"


def _live(birth: Birth) -> None:
    """Be the child, to its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
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
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """Bring up what is asked for, to the end of the input."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children: the kernel forgets them
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    children: list[int] = []
    for line in sys.stdin:
        birth = Birth.model_validate_json(line)
        pid = os.fork()
        if pid == 0:
            _live(birth)
        children.append(pid)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    for pid in children:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
