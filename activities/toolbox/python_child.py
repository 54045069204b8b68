"""Runs the Python program on stdin under resource limits, as a script of its own: ``python -I python_child.py LIMITS``.

``LIMITS`` is a JSON object of names of the resource module and numbers, and ``alarm``: seconds after which the process
ends even if the worker that should kill it has died. Only the standard library is used: it must run isolated.
"""

import json
import linecache
import os
import resource
import signal
import sys
import traceback
from contextlib import suppress
from types import ModuleType, TracebackType

FILENAME = "<run_python>"


def limit(limits: dict[str, int]) -> None:
    """Put limits on this process that it cannot raise again."""
    signal.alarm(limits.pop("alarm"))
    for name, value in limits.items():
        with suppress(AttributeError, ValueError, OSError):  # a limit that this platform does not know
            resource.setrlimit(getattr(resource, name), (value, value))


def run(source: str) -> None:
    """Run a program as ``__main__``; its traceback shows its lines, and modules beside it can be imported."""
    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    sys.argv = [FILENAME]
    sys.path.append(os.getcwd())  # noqa: PTH109 - a string is what belongs here
    linecache.cache[FILENAME] = (len(source), None, source.splitlines(keepends=True), FILENAME)
    exec(compile(source, FILENAME, "exec"), vars(main))  # noqa: S102 - running it is what this process is for


def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback that begins in the program, not in here."""
    while trace is not None and trace.tb_frame.f_code.co_filename != FILENAME:
        trace = trace.tb_next
    traceback.print_exception(kind, error, trace)


def main() -> None:
    """Limit, then run."""
    sys.excepthook = show
    source = sys.stdin.buffer.read().decode()
    limit(json.loads(sys.argv[1]))
    run(source)


if __name__ == "__main__":
    main()
