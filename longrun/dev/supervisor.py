"""Keeps the parts of ``longrun dev`` alive: in order up, again when one dies, in reverse order down."""

import asyncio
from collections.abc import Callable

from longrun.dev.child import ChildProcess, Listener
from longrun.dev.temporal.config import SetupError

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 15.0
_STEADY = 10.0


class Supervisor:
    """Runs stages of parts; a stage is started when all parts of the one before are ready.

    Args:
        stages: What to run.
        listener: Is told what happens to a part.
        first_delay: Seconds before a part that died is started again; doubled each time that it dies young.
    """

    def __init__(
        self, stages: list[list[ChildProcess]], listener: Listener, *, first_delay: float = _FIRST_DELAY
    ) -> None:
        self._stages = stages
        self._listener = listener
        self._first_delay = first_delay

    async def run(self, when_ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Start everything, call ``when_ready``, keep it running until ``stop`` is set, end everything.

        Raises:
            SetupError: A part could not be started; nothing is left running.
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
        """Do not wait any longer for a part to end by itself."""
        for part in self._parts():
            part.kill()

    async def _run(self, when_ready: Callable[[], None]) -> None:
        for stage in self._stages:
            for part in stage:
                await part.start()
            await asyncio.gather(*(part.ready() for part in stage))
        when_ready()
        await asyncio.gather(*(self._keep(part) for part in self._parts()))

    async def _keep(self, part: ChildProcess) -> None:
        clock = asyncio.get_running_loop().time
        delay = self._first_delay
        while True:
            born = clock()
            how = await part.ended()
            delay = self._first_delay if clock() - born > _STEADY else delay
            self._listener(part.name, f"{how}: starting it again in {delay:g} s")
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY)
            await self._start_again(part)

    async def _start_again(self, part: ChildProcess) -> None:
        try:
            await part.start()
            await part.ready()
        except SetupError as error:
            self._listener(part.name, str(error).splitlines()[0])
            part.kill()
        else:
            self._listener(part.name, "is ready again")

    async def _stop(self) -> None:
        # Temporal goes last: workers report to it what they could not finish.
        for stage in reversed(self._stages):
            await asyncio.gather(*(part.stop() for part in stage))

    def _parts(self) -> list[ChildProcess]:
        return [part for stage in self._stages for part in stage]
