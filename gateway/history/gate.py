"""Believing Temporal only if it is the one that has the runs of this store."""

from collections.abc import Awaitable, Callable
from time import monotonic

from temporalio.client import Client

from longrun.runtime.temporal import identity_of

_FRESH = 1.0
"""Seconds for which the answer of a moment ago counts."""


class Gate:
    """Passed by what asks Temporal about runs.

    Args:
        client: The connection to Temporal.
        check: Raises ``WrongTemporalError`` if the store belongs to another Temporal than the one with this identity.
    """

    def __init__(self, client: Client, check: Callable[[str], Awaitable[None]]) -> None:
        self._client = client
        self._check = check
        self._passed: float | None = None

    async def passed(self) -> None:
        """Look once which Temporal answers, and bind the store to it if that is the first one.

        Raises:
            WrongTemporalError: It is another one.
            TemporalUnavailableError: Temporal did not answer.
            StoreUnavailableError: The store failed.
        """
        if self._passed is None:
            await self._look()

    async def passed_again(self) -> None:
        """Look once more: Temporal says that it does not know a run, which another one in its place would say too.

        Raises:
            WrongTemporalError: It is another one.
            TemporalUnavailableError: Temporal did not answer.
            StoreUnavailableError: The store failed.
        """
        if self._passed is None or monotonic() > self._passed + _FRESH:
            await self._look()

    async def _look(self) -> None:
        self._passed = None
        await self._check(await identity_of(self._client))
        self._passed = monotonic()
