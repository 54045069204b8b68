"""Server-sent events: prepared frames, kept alive by comments, and never a clean end before the content's own."""

import logging
from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.types import Receive, Scope, Send
from typing_extensions import override

logger = logging.getLogger(__name__)

_COME_BACK = b": the stream breaks off; come back with the last id\nretry: 1000\n\n"


def frame(event: bytes, data: bytes, event_id: bytes) -> bytes:
    """One event with its id, as bytes; ``data`` is one line."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id, event, data)


class BrokenOffError(Exception):
    """A stream cannot go on; its reader may come back."""


class Content(Protocol):
    """The frames of a stream; ``complete`` once the last of them was given out."""

    complete: bool

    def frames(self) -> AsyncGenerator[bytes]:
        """The frames, one or more at a time.

        Raises:
            BrokenOffError: There is no next one for now.
        """
        ...


class EventStream(EventSourceResponse):
    """A response that ends cleanly only if its content is complete: else the connection breaks off.

    Args:
        content: The frames.
        keep_alive: Seconds between the comments that keep an idle connection open.
        status: The HTTP status.
        headers: More headers.
    """

    def __init__(
        self, content: Content, keep_alive: float, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType] # a bare dict in the library's annotation
            content.frames(),
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
        except BrokenOffError as error:
            logger.warning("a stream breaks off: %s", error)
        if not self._content.complete and scope["method"] != "HEAD":
            # Without a last chunk the server closes the connection in the middle, which no client takes for the end.
            await send({"type": "http.response.body", "body": _COME_BACK, "more_body": True})
