"""Where tools run: an event loop on a thread of its own, so that one that blocks it holds up no model's answer."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

_GRACE = 5.0
"""Seconds that a cancelled tool has to clean up."""


class ToolLoop:
    """Runs coroutines on its thread, which starts with the first of them and ends with the process."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, function: Callable[[], Coroutine[Any, Any, object]]) -> object:
        """What a function's coroutine returns. A cancellation reaches it, and waits for it a little."""
        ours, theirs = asyncio.get_running_loop(), self._running()
        ended: asyncio.Future[object] = ours.create_future()
        started: list[asyncio.Task[object]] = []

        def start() -> None:
            task = theirs.create_task(function())
            started.append(task)
            task.add_done_callback(lambda task: _tell(ours, ended, task))

        def stop() -> None:
            started[0].cancel()

        theirs.call_soon_threadsafe(start)
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            if not ended.cancelled():
                theirs.call_soon_threadsafe(stop)
                await asyncio.wait([ended], timeout=_GRACE)
                _look_at(ended)
            raise

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="tools", daemon=True).start()
            return self._loop


def _tell(ours: asyncio.AbstractEventLoop, ended: "asyncio.Future[object]", task: "asyncio.Task[object]") -> None:
    """Hand a task's end over to the loop that waits for it."""

    def settle() -> None:
        if ended.done():
            return
        if task.cancelled():
            ended.cancel()
        elif error := task.exception():
            ended.set_exception(error)
        else:
            ended.set_result(task.result())

    if not ours.is_closed():
        ours.call_soon_threadsafe(settle)


def _look_at(ended: "asyncio.Future[object]") -> None:
    """See how a cancelled tool ended, whatever that is: nobody else will."""
    if ended.done() and not ended.cancelled():
        ended.exception()
