"""Bodies that do not come: a request is given up whose sender falls silent in the middle of it."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from longrun.gateway.http.errors import RequestError


class SlowBodiesRefused:
    """ASGI middleware.

    Args:
        app: The application.
        seconds: How long each next piece of a body may take.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let what reads the body raise a ``RequestError`` of status 408 when the next piece does not come."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        incomplete, answering = True, False

        async def in_time() -> Message:
            nonlocal incomplete
            if not incomplete:
                return await receive()
            try:
                async with asyncio.timeout(self._seconds):
                    message = await receive()
            except TimeoutError:
                if answering:  # nobody waits for the body any more: its sender is taken for gone
                    return {"type": "http.disconnect"}
                detail = f"the body stops in the middle, for {self._seconds:g} s"
                raise RequestError(408, detail, headers={"Connection": "close"}) from None
            incomplete = message.get("more_body", False)
            return message

        async def noticed(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        await self._app(scope, in_time, noticed)
