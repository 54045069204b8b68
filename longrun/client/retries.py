"""When an interrupted request is sent again, and when it is given up. Pure: it counts, the clients wait."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from longrun.client.errors import InterruptionError, UnreachableError

LASTING = 30.0
"""Seconds after which a connection that breaks was a good one: a stream's keep-alives come every 15."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often an interrupted request is sent, and how many seconds pass between two attempts.

    Intervals double from ``initial_interval`` to ``maximum_interval``; the server's ``Retry-After`` makes one longer. A
    server that wants more than ``maximum_retry_after`` is given up. ``stream_attempts`` counts the failures of a stream
    since its last event or lasting connection, ``attempts`` those of every other request.
    """

    attempts: int = 8
    stream_attempts: int = 40
    initial_interval: float = 0.1
    maximum_interval: float = 5.0
    maximum_retry_after: float = 60.0

    def interval(self, failures: int, retry_after: float = 0.0) -> float:
        """Seconds after so many failures in a row."""
        growing = self.initial_interval * 2 ** min(failures - 1, 16)
        return max(min(growing, self.maximum_interval), retry_after)


@dataclass
class Retries:
    """What a client knows of its server, for all its requests: whether it has ever answered.

    A server that never has is not waited for: the address may be wrong. One that has may be restarting.

    Args:
        policy: How often and when to send again.
        on_interruption: Is given the reason when an interruption begins.
    """

    policy: RetryPolicy
    on_interruption: Callable[[str], None]
    answered: bool = False

    def of_request(self, *, repeatable: bool) -> "Attempts":
        """The attempts of a request that is no stream."""
        return Attempts(self, self.policy.attempts if repeatable else 1)

    def of_stream(self) -> "Attempts":
        """The attempts of a stream."""
        return Attempts(self, self.policy.stream_attempts)


@dataclass
class Attempts:
    """The failures in a row of one request or stream.

    Args:
        retries: What the client knows of its server.
        maximum: Failures at which it is given up.
        clock: Seconds, from any origin.
    """

    retries: Retries
    maximum: int
    clock: Callable[[], float] = time.monotonic
    _failures: int = field(default=0, init=False)
    _connected_at: float | None = field(default=None, init=False)

    def connect(self) -> None:
        """Note that the server answers, whatever it says."""
        self.retries.answered = True
        self._connected_at = self.clock()

    def progress(self) -> None:
        """Note that an event has come: failures are counted anew."""
        self._failures = 0

    def fail(self, error: InterruptionError) -> float:
        """Count a failure; the seconds to wait before the next attempt.

        Raises:
            UnreachableError: There is no next attempt.
        """
        if self._lasted():
            self._failures = 0
        self._failures += 1
        if self.maximum == 1 or (error.refused and not self.retries.answered):
            raise UnreachableError(str(error)) from error
        self.retries.answered = True
        policy = self.retries.policy
        if self._failures >= self.maximum or error.retry_after > policy.maximum_retry_after:
            raise UnreachableError(f"gave up after {self._failures} attempts: {error}") from error
        if self._failures == 1:
            self.retries.on_interruption(str(error))
        return policy.interval(self._failures, error.retry_after)

    def _lasted(self) -> bool:
        """Whether the connection did. A run may wait for days without an event, and proxies cut what takes long."""
        connected_at, self._connected_at = self._connected_at, None
        return connected_at is not None and self.clock() - connected_at >= LASTING
