"""The connection to Temporal: its address, its timeouts, and one error for a server that does not answer."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

RPC_TIMEOUT = timedelta(seconds=5)
"""For one attempt of an RPC."""
RETRIES = RetryConfig(max_elapsed_time_millis=2000)
"""Of one RPC. An HTTP request waits for it; the reconciler sends again what must be delivered."""

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
"""Refusals that a retry would not change; all other statuses mean that the server is unavailable."""


def temporal_connection() -> dict[str, Any]:
    """The arguments for ``Client.connect``: Temporal's own environment and profiles, else ``localhost:7233``."""
    found: dict[str, Any] = {**ClientConfig.load_client_connect_config()}
    found.setdefault("target_host", "localhost:7233")
    return {**found, "data_converter": pydantic_data_converter}


class TemporalUnavailableError(Exception):
    """Temporal did not answer."""


@contextmanager
def answered() -> Generator[None]:
    """Call Temporal in the block.

    Raises:
        RPCError: Temporal refused.
        TemporalUnavailableError: Temporal did not answer.
    """
    try:
        yield
    except RPCError as error:
        if error.status in _ANSWERS:
            raise
        raise TemporalUnavailableError(f"Temporal did not answer: {error.message}") from error
    except RuntimeError as error:  # what a lazy client raises when it cannot connect
        raise TemporalUnavailableError(f"Temporal cannot be reached: {error}") from error
