"""The log of a run: as a stream over SSE, and in JSON pages."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field
from starlette.responses import Response

from longrun.gateway.http.errors import wrong
from longrun.gateway.http.inputs import Header
from longrun.gateway.http.operations import Answer, EventSchema, Operations
from longrun.gateway.http.sse import frame
from longrun.gateway.native.schemas import Id
from longrun.gateway.service.run import Run
from longrun.gateway.services import Services
from longrun.gateway.streaming.logs import Position
from longrun.workflows.contract.events import EVENT, Event, type_of
from longrun.workflows.contract.views import LogView

operations = Operations("runs")

_LONGEST_ID = 19

EVENTS = EventSchema(
    name="Event",
    data=EVENT,
    description="One event of the run's log. The stream ends after a `run.*` event and only there.",
    id={"type": "string", "pattern": "^[0-9]+$", "description": "The event's seq"},
    event={"type": "string", "description": "The event's type"},
)


def _seq(text: str | None) -> str | None:
    if not text:  # some clients send the header without a value before they have seen an event
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_ID):
        raise ValueError("is not the id of an event")
    return text


LastEventId = Annotated[
    str | None,
    AfterValidator(_seq),
    Header("Last-Event-ID", "The id of the last event that was seen; goes over starting_after."),
]


class StreamQuery(BaseModel):
    """``starting_after`` is exclusive; ``settled`` leaves superseded events out.

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


def event_frame(line: bytes) -> bytes:
    """The frame of an event, whose id is the event's seq: ``seq`` is the first key of its JSON."""
    return frame(type_of(line).encode(), line, line[len(b'{"seq":') : line.index(b",")])


def start_of(run: Run) -> Position:
    """The start of a run's log, in the default view."""
    return Position(run.id, 0, "settled" if run.over or run.rewound else "raw", run.over)


async def _position(
    services: Services, run: Run, query: StreamQuery, last_event_id: str | None
) -> tuple[Position, int]:
    """The position in a run's log that a request names, and the seq of the last event.

    Raises:
        RequestError: It is beyond the run's last event.
    """
    after = query.starting_after if last_event_id is None else int(last_event_id)
    head = await services.logs.head(run.id)
    if after > head:
        field = "starting_after" if last_event_id is None else "Last-Event-ID"
        raise wrong(field, f"is beyond the run's last event, {head}")
    return Position(run.id, after, query.view or start_of(run).view, run.over), head


@operations.get(
    "/api/runs/{run_id}/stream",
    Answer(200, "The run's events, to its end", events=EVENTS),
    Answer(204, "The run is over and nothing comes after this position"),
    errors=(404, 410),
)
async def stream_run(services: Services, run_id: Id, query: StreamQuery, last_event_id: LastEventId) -> Response:
    """Stream a run.

    Follow a run's log from any position to its end.

    ``Last-Event-ID`` goes over ``starting_after``. A run that is over and has nothing after the position answers 204.
    """
    run = await services.reader.get(run_id)
    position, head = await _position(services, run, query, last_event_id)
    if run.over and position.after == head:
        return Response(status_code=204)
    return await services.logs.stream(position, event_frame)


@operations.get("/api/runs/{run_id}/events", Answer(200, "A page of events", EventPage), errors=(404, 410))
async def list_events(services: Services, run_id: Id, query: EventsQuery, last_event_id: LastEventId) -> Response:
    """List a run's events.

    A page of a run's log, which may end before the run does.
    """
    run = await services.reader.get(run_id)
    position, head = await _position(services, run, query, last_event_id)
    page = await services.logs.page(position, query.limit, head)
    done = b"true" if page.done else b"false"
    body = b'{"events":[%b],"next":%d,"done":%b}' % (b",".join(page.lines), page.next, done)
    return Response(body, media_type="application/json")
