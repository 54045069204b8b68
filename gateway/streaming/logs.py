"""The log of a run for a door: as a stream of frames to the run's end, or as a page of what is there.

A stream ends after the run's last event and only there. When it has to end before (the gateway stops, the store or
Temporal is unavailable, events are pruned that nobody has), the connection breaks off, so that a clean end always means
that the log was read to its end. A reader comes back with the last id that it has got; one that disconnects has no
effect on the run.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from starlette.responses import Response

from longrun.gateway.http.sse import BrokenOffError, EventStream
from longrun.gateway.streaming.tail import Chunk, PrunedError, Tail
from longrun.runtime.temporal import TemporalUnavailableError
from longrun.store.db.database import StoreUnavailableError
from longrun.store.log_reader import LogReader
from longrun.workflows.contract.views import LogView

Render = Callable[[bytes], bytes]
"""An event, which is a line of JSON, as the bytes of its frame."""

_FIRST_READ = 50
"""Segments of the first read of a log that is complete, so that its first byte is early."""
_READ = 1000


@dataclass(frozen=True)
class Position:
    """Where to read a run's log from, and how: the events after ``after``. ``complete``: the run has ended."""

    run_id: str
    after: int
    view: LogView
    complete: bool


@dataclass(frozen=True)
class LogPage:
    """Events in order. ``next`` is the position after them; ``done`` says that no more will come."""

    lines: list[bytes]
    next: int
    done: bool


class Logs:
    """Opens logs.

    Args:
        log: The store's logs.
        tail: Follows them.
        keep_alive: Seconds between the comments that keep an idle stream open.
    """

    def __init__(self, log: LogReader, tail: Tail, keep_alive: float) -> None:
        self._log = log
        self._tail = tail
        self._keep_alive = keep_alive

    async def head(self, run_id: str) -> int:
        """The seq of a run's last event.

        Raises:
            StoreUnavailableError: The store failed.
        """
        return await self._log.head(run_id) or 0

    async def stream(
        self, position: Position, render: Render, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        """The response that follows a log to the run's end.

        Raises:
            PrunedError: The run has ended, and the next events are in neither store nor history.
            StoreUnavailableError: The store failed.
            TemporalUnavailableError: Events have to be read from history, and Temporal did not answer.
        """
        first: list[Chunk] = []
        if position.complete:
            first = await self._tail.read(position.run_id, position.after, position.view, _FIRST_READ)
        return EventStream(_Frames(self._tail, position, first, render), self._keep_alive, status, headers)

    async def page(self, position: Position, most: int, head: int) -> LogPage:
        """The next events that are in the log already.

        Args:
            position: Where to begin.
            most: How many events at most.
            head: The seq of the run's last event.

        Raises:
            PrunedError: The run has ended, and the next events are in neither store nor history.
            StoreUnavailableError: The store failed.
            TemporalUnavailableError: Events have to be read from history, and Temporal did not answer.
        """
        try:
            chunks = await self._tail.read(position.run_id, position.after, position.view, most)
        except PrunedError:
            if position.complete:
                raise
            chunks = []  # the events that a running step has lost come back with its message
        lines, after = _first_of(chunks, position.after, most)
        return LogPage(lines, after, done=position.complete and after >= head)


def _first_of(chunks: list[Chunk], after: int, most: int) -> tuple[list[bytes], int]:
    """The first events of some chunks, and the seq up to which they go."""
    lines: list[bytes] = []
    for chunk in chunks:
        room = most - len(lines)
        lines += chunk.lines[:room]
        if len(chunk.lines) > room:
            return lines, chunk.last - len(chunk.lines) + room
        after = chunk.last
    return lines, after


class _Frames:
    """The frames of a log; ``complete`` once the run's last event is among them.

    Args:
        tail: Follows logs.
        position: Where to begin.
        first: What has been read from there already.
        render: The frame of an event.
    """

    def __init__(self, tail: Tail, position: Position, first: list[Chunk], render: Render) -> None:
        self._tail = tail
        self._position = position
        self._first = first
        self._render = render
        self.complete = False

    async def frames(self) -> AsyncGenerator[bytes]:
        """The frames, one or more at a time.

        Raises:
            BrokenOffError: The next events cannot be read.
        """
        try:
            async with aclosing(self._chunks()) as reads:
                async for chunks in reads:
                    self.complete = chunks[-1].ends
                    if frames := b"".join(self._render(line) for chunk in chunks for line in chunk.lines):
                        yield frames
        except (StoreUnavailableError, TemporalUnavailableError, PrunedError) as error:
            raise BrokenOffError(str(error)) from error

    async def _chunks(self) -> AsyncGenerator[list[Chunk]]:
        """First what is in the log of a run that has ended, many at a time; then each that comes."""
        position, cursor = self._position, self._position.after
        chunks = self._first
        while chunks:
            cursor = chunks[-1].last
            yield chunks
            chunks = await self._tail.read(position.run_id, cursor, position.view, _READ)
        if not self.complete:  # a run that had ended a moment ago may have been reset
            async with aclosing(self._tail.follow(position.run_id, cursor, position.view)) as following:
                async for chunks in following:
                    yield chunks
