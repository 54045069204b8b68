"""A terminal in place of a person's: what was written to it, and keys to press."""

import asyncio
import os
import pty
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from prompt_toolkit.application import get_app_session

CLEAR, LEFT = "\x15", "\x1b[D"
"""Ctrl-U, which empties a line as in a shell, and the left arrow."""
_WHERE, _AT_THE_BOTTOM = b"\x1b[6n", b"\x1b[24;1R"
"""What a program asks of a terminal to learn where the cursor is, and an answer."""
_ERASED = re.compile(r"[^\n]*\x1b\[J")
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Terminal:
    """A pseudo terminal. ``inside`` is the end that a program uses as its own."""

    outside: int
    inside: int
    written: str = ""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def seen(self) -> str:
        """What was written, without lines that were erased to be written again, and without colours."""
        return _ESCAPE.sub("", _ERASED.sub("", self.written))

    def read(self) -> None:
        """Take what was written."""
        try:
            output = os.read(self.outside, 65536)
            self.written += output.decode(errors="replace")
            os.write(self.outside, _AT_THE_BOTTOM * output.count(_WHERE))
        except OSError:  # the last program has closed its end
            asyncio.get_running_loop().remove_reader(self.outside)
        self._news.set()

    async def shows(self, text: str, times: int = 1, patience: float = 20) -> None:
        """Wait until a text has been written so many times."""
        try:
            async with asyncio.timeout(patience):
                while self.seen.count(text) < times:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{text!r} was not shown {times} times, but: {self.seen}") from None

    def types(self, text: str) -> None:
        """Press keys."""
        os.write(self.outside, text.encode())

    def hangs_up(self) -> None:
        """Close the person's end."""
        asyncio.get_running_loop().remove_reader(self.outside)
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a device
            os.dup2(nothing.fileno(), self.outside)


@contextmanager
def terminal() -> Generator[Terminal]:
    """A terminal, in the running loop."""
    outside, inside = pty.openpty()
    loop = asyncio.get_running_loop()
    found = Terminal(outside, inside)
    loop.add_reader(outside, found.read)
    try:
        yield found
    finally:
        loop.remove_reader(outside)
        os.close(outside)
        os.close(inside)


@contextmanager
def own_terminal() -> Generator[Terminal]:
    """A terminal that is this process's own."""
    with (
        terminal() as screen,
        os.fdopen(os.dup(screen.inside)) as keys,
        os.fdopen(os.dup(screen.inside), "w") as page,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TERM", "xterm")
        patch.setattr(sys, "stdin", keys)
        patch.setattr(sys, "stdout", page)
        for remembered in ("_input", "_output"):  # prompt_toolkit takes the terminal of a process to stay the same
            patch.setattr(get_app_session(), remembered, None)
        yield screen
