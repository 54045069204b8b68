"""Running a program that may never end: in a process group of its own, with bounded output, and nothing left behind."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from longrun.activities.toolbox.tool import ToolFailure

ENVIRONMENT = {"PATH": os.defpath, "LANG": "C.UTF-8"}
"""All that a child gets of ours: the worker's own environment holds the keys of providers."""

_CHUNK = 65_536
_GRACE = 1.0
"""Seconds in which output is still read after the end, where a process that left the group keeps the pipe open."""
_IDLE = 0.25

OnOutput = Callable[[bytes], Awaitable[None]]


async def unreported(_chunk: bytes) -> None:
    """For programs whose output nobody follows."""


@dataclass(frozen=True)
class Program:
    """A script of ours to run in a process of its own.

    ``stdin`` is all that it can read; ``timeout`` is in seconds.
    """

    script: Path
    arguments: tuple[str, ...]
    stdin: bytes
    folder: Path
    timeout: float


@dataclass(frozen=True)
class Exit:
    """How it ended. ``code`` is ``None`` where it was killed for its time, ``-n`` where signal n ended it."""

    code: int | None
    output: str


@dataclass
class BoundedOutput:
    """The beginning and the end of a stream of any length."""

    head_size: int = 36_000
    tail_size: int = 8_000
    _head: bytearray = field(default_factory=bytearray)
    _tail: bytearray = field(default_factory=bytearray)
    _total: int = 0

    def add(self, chunk: bytes) -> None:
        """Take more of the stream."""
        self._total += len(chunk)
        room = self.head_size - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        del self._tail[: -self.tail_size]

    @property
    def text(self) -> str:
        """What was kept, with a note about what was not."""
        omitted = self._total - len(self._head) - len(self._tail)
        if not omitted:
            return (self._head + self._tail).decode("utf-8", "replace")
        head, tail = self._head.decode("utf-8", "replace"), self._tail.decode("utf-8", "replace")
        return f"{head}\n... [{omitted} bytes left out] ...\n{tail}"


async def run_program(program: Program, on_output: OnOutput) -> Exit:
    """Run a program to its end, or to the end of its time, or until cancelled; then its whole process group has ended.

    Args:
        program: What to run.
        on_output: Called with each chunk of what it writes to stdout or stderr, in order, and with an empty one now
            and then while it writes nothing.

    Raises:
        ToolFailure: It cannot be started.
    """
    output = BoundedOutput()
    scope = asyncio.timeout(program.timeout)
    async with _started(program) as (process, reader):
        try:
            async with scope:
                await _read(reader, output, on_output)
                await process.wait()
        except TimeoutError:
            if not scope.expired():
                raise
    return Exit(None if scope.expired() else process.returncode, output.text)


async def _read(reader: asyncio.StreamReader, output: BoundedOutput, on_output: OnOutput) -> None:
    while True:
        chunk = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(_IDLE):
                chunk = await reader.read(_CHUNK)
                if not chunk:
                    return
        output.add(chunk)
        await on_output(chunk)


@asynccontextmanager
async def _started(program: Program) -> AsyncGenerator[tuple[asyncio.subprocess.Process, asyncio.StreamReader]]:
    """The running process and its output; whoever leaves leaves none of it running."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb", buffering=0) as readable, os.fdopen(write_end, "wb", buffering=0) as writable:
        reader, transport = await _reading(readable)
        try:
            process = await _start(program, writable)
            writable.close()  # else the pipe never ends
            watch = asyncio.create_task(_clean_up_after(process, transport))
            try:
                yield process, reader
            finally:
                if not watch.done():
                    _kill_group(process.pid)
                    await asyncio.wait({watch})
        finally:
            transport.close()


async def _reading(readable: IO[bytes]) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    reader = asyncio.StreamReader(limit=_CHUNK)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), readable)
    return reader, transport


async def _start(program: Program, output: IO[bytes]) -> asyncio.subprocess.Process:
    flags = ("-I", "-B", "-u", "-X", "utf8")  # isolated, no .pyc, unbuffered, UTF-8 whatever the locale
    with tempfile.TemporaryFile() as stdin:
        stdin.write(program.stdin)
        stdin.seek(0)
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *flags,
                str(program.script),
                *program.arguments,
                stdin=stdin,
                stdout=output,
                stderr=output,
                cwd=program.folder,
                env=ENVIRONMENT | {"HOME": str(program.folder)},
                start_new_session=True,
            )
        except OSError as exc:
            raise ToolFailure(f"the process could not be started: {exc}") from exc


async def _clean_up_after(process: asyncio.subprocess.Process, transport: asyncio.ReadTransport) -> None:
    """When the process has ended, end what it started, and end the output even if somebody still holds the pipe."""
    await process.wait()
    _kill_group(process.pid)
    asyncio.get_running_loop().call_later(_GRACE, transport.close)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS says so of a group of zombies
        os.killpg(pid, signal.SIGKILL)
