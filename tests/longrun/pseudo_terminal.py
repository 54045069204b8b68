"""A terminal in place of a person's: what was written to it, and keys to press."""

import asyncio
import os
import pty
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.patience import PATIENCE


@dataclass
class Terminal:
    """A pseudo terminal. ``inside`` is the end that a program uses as its own."""

    outside: int
    inside: int
    seen: str = ""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def read(self) -> None:
        """Take what was written."""
        try:
            self.seen += os.read(self.outside, 65536).decode(errors="replace")
        except OSError:  # the last program has closed its end
            asyncio.get_running_loop().remove_reader(self.outside)
        self._news.set()

    async def shows(self, text: str, times: int = 1) -> None:
        """Wait until a text has been written so many times."""
        try:
            async with asyncio.timeout(PATIENCE):
                while self.seen.count(text) < times:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{text!r} was not shown {times} times, but: {self.seen}") from None

    def types(self, text: str) -> None:
        """Press keys."""
        os.write(self.outside, text.encode())


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
