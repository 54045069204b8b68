"""The stream of a run over SSE, and the same log in JSON pages.

A stream ends after its ``run.*`` event and only there. When the gateway has to stop before, it says ``retry:`` and
breaks the connection off, so that a clean end always means that the log was read whole; a reader comes back with the
last id it has seen. A reader that goes away has no effect on the run.
"""

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from longrun.gateway.http.incoming import read_query, run_of
from longrun.gateway.http.operations import Answer, Operation
from longrun.gateway.http.problems import wrong
from longrun.gateway.services import Services, services_of
from longrun.gateway.streaming.tail import Chunk, GoneError, Tail
from longrun.runtime.temporal import TemporalUnavailableError
from longrun.store.db.database import StoreUnavailableError
from longrun.store.db.tables import RunRow
from longrun.workflows.contract.events import Event, type_of
from longrun.workflows.contract.runs import FINAL
from longrun.workflows.contract.views import LogView

logger = logging.getLogger(__name__)

_FAREWELL = b": the gateway stops; come back with the last id\nretry: 1000\n\n"
_FIRST_PAGE = 50
"""Segments of the first read of a log that is complete, so that its first byte is early."""
_PAGE = 1000
_LONGEST_ID = 19


class StreamQuery(BaseModel):
    """``starting_after`` is exclusive; ``settled`` leaves out what no longer stands.

    The default of ``view`` is ``settled`` once the run is over or was reset, else ``raw``.
    """

    starting_after: Annotated[int, BeforeValidator(lambda given: given if given not in {"", "null"} else 0)] = Field(
        default=0, ge=0
    )
    view: LogView | None = None


class EventsQuery(StreamQuery):
    """A page has at most ``limit`` events."""

    limit: int = Field(default=500, ge=1, le=5000)


class EventPage(BaseModel):
    """Events in order. ``next`` is the ``starting_after`` of the next page; ``done`` says that the run is over."""

    events: list[Event]
    next: int
    done: bool


@dataclass(frozen=True)
class Place:
    """From where and how a run's log is to be read."""

    row: RunRow
    after: int
    view: LogView

    @property
    def over(self) -> bool:
        """Whether the log is complete."""
        return self.row.status in FINAL


class _Frames:
    """A run's log in pieces to send; ``whole`` once the run's last event is among them.

    Args:
        tail: The logs.
        place: From where.
        first: What has been read of it already.
    """

    def __init__(self, tail: Tail, place: Place, first: list[Chunk]) -> None:
        self._tail = tail
        self._place = place
        self._first = first
        self.whole = False

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The frames, one or more at a time."""
        cursor = self._place.after
        if self._place.over:
            async for page in self._stored():
                cursor = page[-1].last
                if piece := self._piece(page):
                    yield piece
        if not self.whole:  # a run that was over a moment ago may have been reset
            async with aclosing(self._tail.follow(self._place.row.id, cursor, self._place.view)) as chunks:
                async for chunk in chunks:
                    if piece := self._piece([chunk]):
                        yield piece

    def _piece(self, page: list[Chunk]) -> bytes:
        self.whole = page[-1].ends
        return b"".join(map(frames, page))

    async def _stored(self) -> AsyncGenerator[list[Chunk]]:
        page, place = self._first, self._place
        while page:
            yield page
            page = await self._tail.read(place.row.id, page[-1].last, place.view, _PAGE)


def frames(chunk: Chunk) -> bytes:
    """The events of a chunk as SSE frames."""
    return b"".join(
        b"id: %b\nevent: %b\ndata: %b\n\n" % (line[7 : line.index(b",")], type_of(line).encode(), line)
        for line in chunk.lines
    )


class LogStream(EventSourceResponse):
    """An SSE answer that is complete only if the log was.

    Args:
        content: What to send.
        keep_alive: Seconds between the comments that keep an idle connection open.
        status: The HTTP status.
        headers: More headers.
    """

    def __init__(self, content: _Frames, keep_alive: float, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType] # a bare dict in the library's annotation
            content.pieces(),
            status,
            headers,
            ping=keep_alive,
            ping_message_factory=lambda: ServerSentEvent(comment="keep-alive", sep="\n"),
            sep="\n",
        )
        self._content = content

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except (StoreUnavailableError, TemporalUnavailableError, GoneError) as error:
            logger.warning("a stream breaks off: %s", error)
        if not self._content.whole and scope["method"] != "HEAD":
            # Without a last piece the server closes the connection in the middle, which no client takes for the end.
            await send({"type": "http.response.body", "body": _FAREWELL, "more_body": True})


async def follow(
    services: Services, place: Place, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer that streams a run's log.

    Raises:
        GoneError: The run is over and the place is gone for good.
    """
    first = await services.tail.read(place.row.id, place.after, place.view, _FIRST_PAGE) if place.over else []
    return LogStream(_Frames(services.tail, place, first), services.settings.keep_alive, status, headers or {})


def whole_log(row: RunRow) -> Place:
    """The run's log from its beginning, as a reader of it sees it by default."""
    return Place(row, 0, "settled" if row.status in FINAL or row.rewound else "raw")


async def _place(request: Request, query: StreamQuery) -> tuple[Place, int]:
    """The place that is asked for, and the last seq that there is."""
    field, after = "starting_after", query.starting_after
    if (last_id := request.headers.get("last-event-id")) is not None:
        field = "Last-Event-ID"
        if not (last_id.isascii() and last_id.isdecimal() and len(last_id) <= _LONGEST_ID):
            raise wrong(field, "is not the id of an event")
        after = int(last_id)
    row = await run_of(request)
    head = await services_of(request).log.head(row.id) or 0
    if after > head:
        raise wrong(field, f"is beyond the run's last event, {head}")
    return Place(row, after, query.view or whole_log(row).view), head


async def stream_run(request: Request) -> Response:
    """Follow a run's log from any place to its end.

    ``Last-Event-ID`` goes over ``starting_after``. A run that is over and has nothing after the place answers 204.
    """
    place, head = await _place(request, read_query(request, StreamQuery))
    if place.over and place.after == head:
        return Response(status_code=204)
    return await follow(services_of(request), place)


async def list_events(request: Request) -> Response:
    """A page of a run's log, which may end before the run does."""
    query = read_query(request, EventsQuery)
    place, head = await _place(request, query)
    try:
        chunks = await services_of(request).tail.read(place.row.id, place.after, place.view, query.limit)
    except GoneError:
        if place.over:
            raise
        chunks = []  # what a running step lost comes back with its message
    cursor, lines = place.after, list[bytes]()
    for chunk in chunks:
        room = query.limit - len(lines)
        lines += chunk.lines[:room]
        if len(chunk.lines) > room:
            cursor = chunk.last - len(chunk.lines) + room
            break
        cursor = chunk.last
    done = place.over and cursor >= head
    body = b'{"events":[%b],"next":%d,"done":%b}' % (b",".join(lines), cursor, b"true" if done else b"false")
    return Response(body, media_type="application/json")


_HEADERS = {"Last-Event-ID": "The id of the last event that was seen; goes over starting_after."}

OPERATIONS = (
    Operation(
        "GET",
        "/api/runs/{run_id}/stream",
        stream_run,
        "Stream a run",
        (
            Answer(200, "The run's events, to its end", events=True),
            Answer(204, "The run is over and nothing comes after this place"),
        ),
        query=StreamQuery,
        headers=_HEADERS,
        errors=(404, 410),
    ),
    Operation(
        "GET",
        "/api/runs/{run_id}/events",
        list_events,
        "List a run's events",
        (Answer(200, "A page of events", EventPage),),
        query=EventsQuery,
        headers=_HEADERS,
        errors=(404, 410),
    ),
)
