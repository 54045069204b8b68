"""One call: the generation of its answer, whoever reads it, and its line of the bill."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Literal, TypedDict

from tests.chaos.generating.controls import Controls
from tests.chaos.generating.plan import Answer, Body, Wire
from tests.chaos.generating.script import Script

Status = Literal["running", "completed", "abandoned", "cancelled"]


class Entry(TypedDict):
    """A line of the bill.

    ``tokens_out`` were generated, read or not; ``streams`` counts the streams, the first one included, ``polls`` the
    questions for the whole object; ``held`` says that it waits at a place for its release. ``violations`` are the rules
    that requests with its label broke: those were refused, and have no line.
    """

    id: str
    wire: Wire
    background: bool
    label: str
    turn: int
    tokens_in: int
    tokens_out: int
    status: Status
    streams: int
    polls: int
    held: bool
    violations: list[str]


class Job:
    """The generation of an answer; it goes on by itself.

    Args:
        entry: Its line of the bill.
        answer: What is generated.
        script: The same as bytes.
        body: The request.
        controls: How the provider behaves.
    """

    def __init__(self, entry: Entry, answer: Answer, script: Script, body: Body, controls: Controls) -> None:
        self.entry = entry
        self.answer = answer
        self.script = script
        self.body = body
        self.waits = True
        self._created = time.monotonic()
        self._controls = controls
        self._events: list[bytes] = []
        self._more = asyncio.Event()
        self._generating = asyncio.create_task(self._generate())

    @property
    def age(self) -> float:
        """Seconds since it was created."""
        return time.monotonic() - self._created

    @property
    def running(self) -> bool:
        """Whether tokens may still come."""
        return self.entry["status"] == "running"

    def stop(self, status: Status) -> None:
        """End a running generation; one that has ended stays what it is."""
        if self.running:
            self._generating.cancel()
            self._end(status)

    async def read(self, after: int = -1) -> AsyncGenerator[bytes, None]:
        """The events whose number is greater, those that are there in one piece, then each as it comes."""
        at = after + 1
        while True:
            more = self._more
            if at < len(self._events):
                piece = b"".join(self._events[at:])
                at = len(self._events)
                yield piece
            elif self.running:
                await more.wait()
            else:
                return

    async def _generate(self) -> None:
        await self._hold(-1)
        self._emit(self.script.opening)
        await asyncio.sleep(self.answer.first_token)
        self.waits = False
        self._emit(self.script.started)
        rate = self.answer.rate if self._controls.rate is None else self._controls.rate
        due = time.monotonic()
        for number, token in enumerate(self.script.tokens):
            held = await self._hold(number)
            now = time.monotonic()
            due = now if held else due + (1 / rate if rate and number else 0)
            await asyncio.sleep(max(0.0, due - now))
            self.entry["tokens_out"] += 1
            self._emit(token)
        await self._hold(len(self.script.tokens))
        self._emit(self.script.ending)
        self._end("completed")

    async def _hold(self, token: int) -> bool:
        """Wait here if it is wished; whether it was."""
        release = self._controls.hold(self.answer.label, self.answer.turn, token)
        if release is None:
            return False
        self.entry["held"] = True
        await release.wait()
        self.entry["held"] = False
        return True

    def _emit(self, events: list[bytes]) -> None:
        self._events += events
        self._wake()

    def _end(self, status: Status) -> None:
        self.entry["status"] = status
        self.entry["held"] = False
        self._wake()

    def _wake(self) -> None:
        woken, self._more = self._more, asyncio.Event()
        woken.set()
