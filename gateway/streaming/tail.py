"""A run's log from any position: what is after seq N, then what comes, then the end."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

from longrun.gateway.streaming.hub import Hub, Subscription
from longrun.store.log_reader import LogReader, Segment
from longrun.workflows.contract.events import TERMINAL, type_of
from longrun.workflows.contract.views import LogView

RETRY_REPAIR = 5.0
"""Seconds after which a gap that history could not fill yet is looked at again although the log has not grown."""


class PrunedError(Exception):
    """A range of the log is neither in the store nor in history.

    Args:
        first: The first seq that there is after it.
    """

    def __init__(self, first: int) -> None:
        super().__init__(
            f"events before seq {first} are gone: the store has lost them, and Temporal does not keep them (any more)"
        )
        self.first = first


@dataclass(frozen=True)
class Chunk:
    """Neighbouring events, one JSON line each, and the seq of the last one looked at."""

    lines: tuple[bytes, ...]
    last: int
    superseded: bool = False

    @property
    def ends(self) -> bool:
        """Whether the run's last event is among them."""
        return bool(self.lines) and not self.superseded and type_of(self.lines[-1]) in TERMINAL


Repair = Callable[[str, int], Awaitable[bool]]
"""Fill what is missing of a run's log before a seq, as far as history has it; false when that is not all (yet)."""


class Tail:
    """Follows logs.

    Args:
        log: The store's logs.
        hub: News of them.
        repair: Fills gaps.
    """

    def __init__(self, log: LogReader, hub: Hub, repair: Repair) -> None:
        self._log = log
        self._hub = hub
        self._repair = repair

    async def read(self, run_id: str, after: int, view: LogView, most: int = 500) -> list[Chunk]:
        """The next segments that are in the log already; an empty list at its end.

        Raises:
            PrunedError: The events are in neither store nor history.
        """
        page = await self._log.page(run_id, after, most)
        head = 0
        if not page and (head := await self._log.head(run_id) or 0) > after:
            page = await self._log.page(run_id, after, most)  # it may have been written between the two looks
        upto = page[0].first if page else head + 1
        if upto <= after + 1:
            return self._chunks(page, after, view)
        await self._repair(run_id, upto)
        page = await self._log.page(run_id, after, most)
        if not page or page[0].first > after + 1:
            raise PrunedError(upto)
        return self._chunks(page, after, view)

    async def follow(self, run_id: str, after: int, view: LogView) -> AsyncGenerator[list[Chunk]]:
        """Everything after ``after``, to the run's end, as much at a time as there is; waits for what is not there yet.

        Raises:
            PrunedError: The run has ended, and events are in neither store nor history.
        """
        cursor = after
        while True:
            with self._hub.subscribe(run_id, await self._log.head(run_id) or 0) as news:
                async for chunks in self._both(run_id, cursor, view, news):
                    cursor = chunks[-1].last
                    yield chunks
                    if chunks[-1].ends:
                        return

    async def _both(self, run_id: str, cursor: int, view: LogView, news: Subscription) -> AsyncGenerator[list[Chunk]]:
        """First the store, then the news, until there is a gap in them."""
        async for chunks in self._stored(run_id, cursor, view, news):
            cursor = chunks[-1].last
            yield chunks
        while not news.lagging:
            fresh = [segment for segment in await news.take() if segment.last > cursor]
            if chunks := self._chunks(fresh, cursor, view):
                cursor = chunks[-1].last
                yield chunks
            if fresh and cursor < fresh[-1].last:
                return

    async def _stored(self, run_id: str, cursor: int, view: LogView, news: Subscription) -> AsyncGenerator[list[Chunk]]:
        while True:
            try:
                chunks = await self.read(run_id, cursor, view)
            except PrunedError:
                if await self._over(run_id):
                    raise
                await news.take(RETRY_REPAIR)
                continue
            if not chunks:
                return
            cursor = chunks[-1].last
            yield chunks

    async def _over(self, run_id: str) -> bool:
        head = await self._log.head(run_id) or 0
        last = self._chunks(await self._log.page(run_id, head - 1, 1), head - 1, "raw")
        return any(chunk.ends for chunk in last)

    @staticmethod
    def _chunks(segments: list[Segment], after: int, view: LogView) -> list[Chunk]:
        """The segments up to the first gap, without what the view leaves out."""
        chunks: list[Chunk] = []
        for segment in segments:
            if segment.first > after + 1:
                break
            if segment.last <= after:
                continue
            shown = not (segment.superseded and view == "settled")
            lines = tuple(segment.lines(after)) if shown else ()
            chunks.append(Chunk(lines, segment.last, segment.superseded))
            after = segment.last
        return chunks
