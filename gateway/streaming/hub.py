"""News of running logs for many viewers: one reader of the store per process, however many watch."""

import asyncio
import logging
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from time import monotonic

from longrun.store.db.database import StoreUnavailableError
from longrun.store.log_reader import LogReader, Segment

logger = logging.getLogger(__name__)

POLL = 0.25
"""Seconds between two looks at the store while no notification comes."""
LONGEST_QUEUE = 256
"""Segments that a viewer may be behind before it is sent back to the store."""


class Subscription:
    """One viewer's queue of new segments."""

    def __init__(self) -> None:
        self._segments: deque[Segment] = deque()
        self._news = asyncio.Event()
        self.lagging = False

    def push(self, segment: Segment) -> None:
        """Add a segment; a viewer that does not keep up loses them all, and is lagging from then on."""
        if len(self._segments) >= LONGEST_QUEUE:
            self.lagging = True
            self._segments.clear()
        if not self.lagging:
            self._segments.append(segment)
        self.wake()

    def wake(self) -> None:
        """Let the viewer look, whether there is a segment or not."""
        self._news.set()

    async def take(self, within: float | None = None) -> list[Segment]:
        """Wait for news and take all of it; nothing for a lagging viewer, without a new segment, and after ``within``.

        Args:
            within: How many seconds to wait; without it for ever.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._news.wait()
        self._news.clear()
        taken = list(self._segments)
        self._segments.clear()
        return taken


class _Feed:
    """The viewers of a run, and the last seq that was handed out to them."""

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self.viewers: set[Subscription] = set()

    def wake(self) -> None:
        """Let all viewers look."""
        for viewer in self.viewers:
            viewer.wake()


class Hub:
    """Reads what is new of every watched run and hands it to the run's viewers."""

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._feeds: dict[str, _Feed] = {}
        self._notified: set[str] = set()
        self._joined: set[str] = set()
        self._news = asyncio.Event()
        self._next_poll = monotonic()

    def notify(self, run_ids: Iterable[str]) -> None:
        """Take the news that something was committed to these runs' logs."""
        watched = self._feeds.keys() & set(run_ids)
        if watched:
            self._notified |= watched
            self._news.set()

    @contextmanager
    def subscribe(self, run_id: str, cursor: int) -> Generator[Subscription]:
        """Watch a run: the segments after ``cursor``. Others may come again, for a viewer with an older cursor."""
        feed = self._feeds.setdefault(run_id, _Feed(cursor))
        subscription = Subscription()
        feed.viewers.add(subscription)
        self._joined.add(run_id)
        self._news.set()
        try:
            yield subscription
        finally:
            feed.viewers.discard(subscription)
            if not feed.viewers:
                self._feeds.pop(run_id, None)

    def watched(self) -> dict[str, int]:
        """The runs that have viewers, each with the last seq that was handed out to them."""
        return {run_id: feed.cursor for run_id, feed in self._feeds.items()}

    async def serve(self) -> None:
        """Hand out news until cancelled."""
        while True:
            await self._wait()
            notified, self._notified = self._notified, set()
            joined, self._joined = self._joined, set()
            try:
                await self._hand_out(set(self._feeds) if self._is_poll_due() else notified | joined)
            except StoreUnavailableError:
                logger.warning("the store is unavailable; viewers wait")
                await asyncio.sleep(POLL)
            except Exception:  # without the hub every stream of this process would wait for ever
                logger.exception("news could not be handed out; they are with the next poll")
                await asyncio.sleep(POLL)
            for run_id in notified & self._feeds.keys():  # a gap in the log may be filled, which is no new segment
                self._feeds[run_id].wake()

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._next_poll - monotonic()):
                await self._news.wait()
        self._news.clear()

    def _is_poll_due(self) -> bool:
        """Whether to look at all runs now, however busy some are."""
        due = monotonic() >= self._next_poll
        if due:
            self._next_poll = monotonic() + POLL
        return due

    async def _hand_out(self, run_ids: set[str]) -> None:
        cursors = {run_id: self._feeds[run_id].cursor for run_id in run_ids if run_id in self._feeds}
        while cursors:
            segments = await self._log.new(cursors)
            for segment in segments:
                self._publish(segment)
            full = len(segments) >= LogReader.MOST_NEW
            cursors = {r: self._feeds[r].cursor for r in cursors if full and r in self._feeds}

    def _publish(self, segment: Segment) -> None:
        feed = self._feeds.get(segment.run_id)
        if feed is None or segment.first <= feed.cursor:
            return
        feed.cursor = segment.last
        for viewer in feed.viewers:
            viewer.push(segment)
