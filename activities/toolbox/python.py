"""Running Python code of a model's in a process of its own.

The limits keep a mistake from taking the machine down. They are no sandbox: the code has the rights of the worker's
user, and that is why a person is asked.
"""

import asyncio
import json
import math
import signal
from pathlib import Path
from time import monotonic
from typing import Annotated

from pydantic import Field

from longrun.activities.toolbox.definition import tool
from longrun.activities.toolbox.process import Exit, Program, run_program
from longrun.activities.toolbox.tool import ToolContext, ToolFailure

MAX_SECONDS = 600
MEMORY_BYTES = 1024**3
FILE_BYTES = 64 * 1024**2
OPEN_FILES = 256

_LAUNCHER = Path(__file__).with_name("python_child.py")
_ALARM_AFTER = 10


@tool(effect="write", approval="always", timeout=MAX_SECONDS + 60)
async def run_python(
    context: ToolContext, code: str, timeout_seconds: Annotated[float, Field(gt=0, le=MAX_SECONDS)] = 30
) -> str:
    """Run a Python program in the workspace folder and return what it printed (stdout and stderr together).

    Each call is a new process with at most 1 GiB of memory; nothing but files stays from call to call.

    Args:
        context: The call.
        code: The program.
        timeout_seconds: Seconds after which it is killed, with everything that it started.
    """
    seconds = math.ceil(timeout_seconds)
    limits = {
        "RLIMIT_CPU": seconds + 1,
        "RLIMIT_AS": MEMORY_BYTES,
        "RLIMIT_FSIZE": FILE_BYTES,
        "RLIMIT_NOFILE": OPEN_FILES,
        "RLIMIT_CORE": 0,
        "alarm": seconds + _ALARM_AFTER,
    }
    await asyncio.to_thread(context.workspace.mkdir, parents=True, exist_ok=True)
    program = Program(
        _LAUNCHER, (json.dumps(limits),), code.encode("utf-8", "replace"), context.workspace, timeout_seconds
    )
    reporter = OutputReporter(context)
    return _answer(await run_program(program, reporter.add), timeout_seconds)


def _answer(ended: Exit, timeout_seconds: float) -> str:
    if ended.code == 0:
        return ended.output or "(no output)"
    if ended.code is None:
        why = f"The program was killed after {timeout_seconds:g} s."
    elif ended.code < 0:
        why = f"The program was ended by a signal: {signal.strsignal(-ended.code)}."
    else:
        why = f"The program ended with exit code {ended.code}."
    raise ToolFailure(f"{why}\n{ended.output}".rstrip())


class OutputReporter:
    """Puts what a program prints into the run's log while it runs, whole lines, not too often and not too much.

    Args:
        context: The call whose progress it is.
        interval: Seconds between two reports; what comes meanwhile is reported together.
        budget: Characters that are reported in all.
    """

    def __init__(self, context: ToolContext, interval: float = 0.25, budget: int = 20_000) -> None:
        self._context = context
        self._interval = interval
        self._budget = budget
        self._waiting = b""
        self._last = -math.inf

    async def add(self, chunk: bytes) -> None:
        """Take more output; report the lines that are whole by now, if it is time."""
        if self._budget <= 0:
            return
        self._waiting = (self._waiting + chunk)[: 4 * self._budget]
        if monotonic() - self._last < self._interval:
            return
        lines, newline, unfinished = self._waiting.rpartition(b"\n")
        if newline:
            self._waiting = unfinished
            self._last = monotonic()
            await self._report((lines + newline).decode("utf-8", "replace").replace("\0", "\ufffd"))

    async def _report(self, text: str) -> None:
        shown = text[: self._budget]
        self._budget -= len(shown)
        await self._context.progress({"output": shown})
        if self._budget <= 0:
            await self._context.progress({"output": "... [no more is reported]\n"})
