"""A run's log as a client reads it: events of this version and of newer ones, and the cursor of a stream."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import httpx2
from pydantic import ConfigDict, Field, TypeAdapter

from longrun.client.errors import InterruptionError
from longrun.client.request import EVENTS, NO_CONTENT, Request
from longrun.workflows.contract.events import TERMINAL, Event
from longrun.workflows.contract.shape import Shape
from longrun.workflows.contract.views import LogView


class UnknownEvent(Shape):
    """An event that this version does not know, as a newer server sends it. ``model_extra`` has its own fields."""

    model_config = ConfigDict(extra="allow")

    seq: int
    type: str
    run_id: str | None = None
    step: int | None = None
    attempt: int | None = None
    at: datetime | None = None


AnyEvent = Annotated[Event | UnknownEvent, Field(union_mode="left_to_right")]
MAX_EVENT_SIZE = 16 * 1024 * 1024
_ANY_EVENT: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)


class EventPage(Shape):
    """Events in order. ``next`` is the ``after`` of the next page; ``done``: the run has ended, and nothing follows."""

    events: tuple[AnyEvent, ...]
    next: int
    done: bool


@dataclass(frozen=True)
class Line:
    """One event of a log, as it was sent."""

    seq: int
    type: str
    data: str

    def event(self) -> AnyEvent:
        """The event."""
        return _ANY_EVENT.validate_json(self.data)


class Reading:
    """The cursor of one reader over all the connections of its stream.

    Args:
        run_id: The run.
        after: The seq after which to begin.
        view: Which events; by default all while the run goes on, without the superseded ones once it has ended.
    """

    def __init__(self, run_id: str, after: int = 0, view: LogView | None = None) -> None:
        self._path = f"/api/runs/{quote(run_id, safe='')}/stream"
        self._view = view
        self._seq = after
        self._ended = False

    @property
    def request(self) -> Request[None]:
        """The request of the next connection."""
        params: dict[str, Any] = {"starting_after": self._seq, "view": self._view}
        return Request("GET", self._path, lambda _: None, params, media_type=EVENTS)

    def accept(self, response: httpx2.Response) -> bool:
        """Whether events follow on a new connection; if not, the run has ended and all of it has been read.

        Raises:
            ApiError: The server refused.
            ClientError: It is no answer of longrun.
            InterruptionError: The server asks to come back later.
        """
        self.request.check(response)
        self._ended = response.status_code == NO_CONTENT
        return not self._ended

    def take(self, sent: httpx2.ServerSentEvent) -> Line | None:
        """The line that a server-sent event is; ``None`` if it has none, or one that was read before."""
        if not sent.data:  # a gateway that stops sends a `retry:` alone
            return None
        line = Line(int(sent.id), sent.event, sent.data)
        self._ended = line.type in TERMINAL
        if line.seq <= self._seq:
            return None
        self._seq = line.seq
        return line

    def close(self) -> None:
        """Accept the end of a connection.

        Raises:
            InterruptionError: The run has not ended.
        """
        if not self._ended:
            raise InterruptionError("the stream ended before the run")
