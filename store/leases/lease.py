"""What a lease is: held by a worker while it lives, and looked at by others."""

from abc import ABC, abstractmethod
from time import monotonic

BEAT = 1.0
"""Seconds between two signs of life."""
FROZEN = 15.0
"""Seconds without one after which a process that is still there counts as dead."""


class Lease(ABC):
    """The lease of a worker. It is renewed from a thread of its own, so that a busy event loop is no dead worker."""

    @abstractmethod
    def hold(self) -> None:
        """Take the lease, and renew it until it is released or the process ends."""

    @abstractmethod
    def release(self) -> None:
        """Give the lease back: what the worker held is done."""


class Leases(ABC):
    """The leases of all workers."""

    @abstractmethod
    async def over(self) -> list[str]:
        """The workers that have died and not given their leases back.

        Raises:
            StoreUnavailableError: The database failed.
        """

    @abstractmethod
    async def forget(self, worker: str) -> None:
        """Take the lease of a dead worker out.

        Raises:
            StoreUnavailableError: The database failed.
        """


class Beats:
    """Since when each worker has given no sign of life, by the clock of this process alone.

    Args:
        frozen: Seconds without one after which a process that is still there counts as dead.
    """

    def __init__(self, frozen: float = FROZEN) -> None:
        self._frozen = frozen
        self._seen: dict[str, tuple[int, float]] = {}

    def silent(self, worker: str, beat: int) -> float:
        """Seconds for which the beat has been the same."""
        seen = self._seen.get(worker)
        if seen is None or seen[0] != beat:
            self._seen[worker] = (beat, monotonic())
            return 0.0
        return monotonic() - seen[1]

    def frozen(self, worker: str, beat: int) -> bool:
        """Whether the worker is silent for so long that it counts as dead."""
        return self.silent(worker, beat) > self._frozen
