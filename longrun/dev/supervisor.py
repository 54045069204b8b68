"""Starts the child processes of ``longrun dev`` in order, again when one dies, and ends them in reverse order."""

import asyncio
from collections.abc import Callable

from longrun.dev.child import ChildProcess, Listener
from longrun.dev.temporal.config import SetupError

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 15.0
_STEADY = 10.0


class Supervisor:
    """Runs groups of child processes; a group is started when the whole group before it is ready.

    Args:
        groups: The groups, in the order in which they are started.
        listener: Takes what happens to a child process.
        first_delay: Seconds before a child process that died is started again; doubled each time that it dies soon.
    """

    def __init__(
        self, groups: list[list[ChildProcess]], listener: Listener, *, first_delay: float = _FIRST_DELAY
    ) -> None:
        self._groups = groups
        self._listener = listener
        self._first_delay = first_delay

    async def run(self, when_ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Start everything, call ``when_ready``, keep it running until ``stop`` is set, end everything.

        Raises:
            SetupError: A child process could not be started; all others have ended.
        """
        running = asyncio.create_task(self._run(when_ready))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            running.cancel()
            await asyncio.wait({running, stopping})
            await self._stop()
        if not running.cancelled():
            running.result()

    def kill(self) -> None:
        """Kill all child processes, without waiting for them to end by themselves."""
        for child in self._children():
            child.kill()

    async def _run(self, when_ready: Callable[[], None]) -> None:
        for group in self._groups:
            for child in group:
                await child.start()
            await asyncio.gather(*(child.ready() for child in group))
        when_ready()
        await asyncio.gather(*(self._keep(child) for child in self._children()))

    async def _keep(self, child: ChildProcess) -> None:
        clock = asyncio.get_running_loop().time
        delay = self._first_delay
        while True:
            started = clock()
            ending = await child.ended()
            delay = self._first_delay if clock() - started > _STEADY else delay
            self._listener(child.name, f"{ending}: starting it again in {delay:g} s")
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY)
            await self._start_again(child)

    async def _start_again(self, child: ChildProcess) -> None:
        try:
            await child.start()
            await child.ready()
        except SetupError as error:
            self._listener(child.name, str(error).splitlines()[0])
            child.kill()
        else:
            self._listener(child.name, "is ready again")

    async def _stop(self) -> None:
        # Temporal ends last: workers report to it what they could not finish.
        for group in reversed(self._groups):
            await asyncio.gather(*(child.stop() for child in group))

    def _children(self) -> list[ChildProcess]:
        return [child for group in self._groups for child in group]
