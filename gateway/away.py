"""Temporal's silence as one error, whatever it looks like underneath."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

from temporalio.service import RetryConfig, RPCError, RPCStatusCode

RPC_TIMEOUT = timedelta(seconds=5)
"""For one attempt of a call of Temporal."""
RETRIES = RetryConfig(max_elapsed_time_millis=2000)
"""Of one call. Somebody waits for its answer over HTTP; what must arrive is sent again by the reconciler."""

_ANSWERS = frozenset(
    {
        RPCStatusCode.NOT_FOUND,
        RPCStatusCode.INVALID_ARGUMENT,
        RPCStatusCode.ALREADY_EXISTS,
        RPCStatusCode.FAILED_PRECONDITION,
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.UNAUTHENTICATED,
    }
)
"""Refusals that asking again would not change; all others mean that nobody is there to answer."""


class TemporalAwayError(Exception):
    """Temporal did not answer."""


@contextmanager
def answered() -> Generator[None]:
    """Call Temporal in the block.

    Raises:
        RPCError: Temporal refused.
        TemporalAwayError: Temporal did not answer.
    """
    try:
        yield
    except RPCError as error:
        if error.status in _ANSWERS:
            raise
        raise TemporalAwayError(f"Temporal did not answer: {error.message}") from error
    except RuntimeError as error:  # what a lazy client raises when it cannot connect
        raise TemporalAwayError(f"Temporal cannot be reached: {error}") from error
