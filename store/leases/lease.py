"""What a lease is: held by a worker while it lives, and looked at by others."""

from abc import ABC, abstractmethod

BEAT = 1.0
"""Seconds between two signs of life."""
LOOK = 0.5
"""Seconds between two looks at the leases."""
FROZEN = 30
"""Looks without one after which a process that is still there counts as dead."""


class Lease(ABC):
    """The lease of a worker. It is renewed from a thread of its own, so that a busy event loop is no dead worker."""

    @abstractmethod
    def hold(self) -> None:
        """Take the lease, and renew it until it is released or the process ends.

        Raises:
            StoreUnavailableError: It cannot be taken.
        """

    @abstractmethod
    def release(self) -> None:
        """Give the lease back: what the worker held is done."""


class Leases(ABC):
    """The leases of all workers."""

    @abstractmethod
    async def expired(self) -> list[str]:
        """The workers that have died and not given their leases back.

        Raises:
            StoreUnavailableError: The database failed.
        """

    @abstractmethod
    async def forget(self, worker: str) -> bool:
        """Take the lease of a dead worker out; whether it was this observer who did.

        Raises:
            StoreUnavailableError: The database failed.
        """


class Beats:
    """How often each worker was looked at without a new sign of life.

    Looks count and not seconds: an observer that was held up itself, or could not look, has learnt nothing.

    Args:
        frozen: Looks without one after which a process that is still there counts as dead.
    """

    def __init__(self, frozen: int = FROZEN) -> None:
        self._frozen = frozen
        self._seen: dict[str, tuple[int, int]] = {}

    def silent(self, worker: str, beat: int) -> int:
        """Note a look at a worker; how many there were since its last beat."""
        last, looks = self._seen.get(worker, (None, 0))
        looks = looks + 1 if last == beat else 0
        self._seen[worker] = (beat, looks)
        return looks

    def frozen(self, silent: int) -> bool:
        """Whether so many looks mean that the worker is frozen."""
        return silent >= self._frozen

    def forget(self, worker: str) -> None:
        """Forget a worker."""
        self._seen.pop(worker, None)
