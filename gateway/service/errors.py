"""The errors of the services: what a door has to render in its API's own shape."""

from collections.abc import Sequence

from longrun.gateway.streaming.tail import PrunedError
from longrun.runtime.temporal import TemporalUnavailableError
from longrun.store.agents import NameTakenError
from longrun.store.db.database import StoreUnavailableError
from longrun.store.db.engines import StoreRefusedError
from longrun.store.outbox import TooManySaidError
from longrun.store.runs import KeyReusedError, ThreadBusyError
from longrun.workflows.contract.runs import Decision

__all__ = [
    "AlreadyDecidedError",
    "AmbiguousCallError",
    "InvalidEditError",
    "KeyReusedError",
    "NameTakenError",
    "PrunedError",
    "RunOverError",
    "StoreRefusedError",
    "StoreUnavailableError",
    "TemporalUnavailableError",
    "ThreadBusyError",
    "TooLargeError",
    "TooManySaidError",
    "UnknownAgentError",
    "UnknownCallError",
    "UnknownProviderError",
    "UnknownResultError",
    "UnknownRunError",
    "UnknownToolsError",
]

LARGEST_ORDER = 1_900_000
"""Bytes of what a run is started with; Temporal refuses a payload of more than 2 MiB."""


class UnknownRunError(Exception):
    """Neither the store nor Temporal knows the run."""


class RunOverError(Exception):
    """The run has ended, so that it takes no signal any more."""


class UnknownResultError(Exception):
    """There is no such call in the run, or it has no result."""


class UnknownAgentError(Exception):
    """There is no agent of this id or name."""


class UnknownCallError(Exception):
    """No run waits for a decision on the call."""


class AmbiguousCallError(Exception):
    """Several runs wait for a decision on a call of this id."""


class UnknownToolsError(Exception):
    """An agent names tools that no worker offers.

    Args:
        unknown: Their indexes in the agent's list, and their names.
        known: The tools that workers offer.
    """

    def __init__(self, unknown: Sequence[tuple[int, str]], known: Sequence[str]) -> None:
        super().__init__(f"there are no tools {', '.join(name for _, name in unknown)}")
        self.unknown = unknown
        self.known = known


class TooLargeError(Exception):
    """A run is ordered with more than Temporal takes.

    Args:
        field: What is the largest part of it.
        size: How many bytes all of it has.
    """

    def __init__(self, field: str, size: int) -> None:
        super().__init__(f"the run is too large: {size} bytes of JSON, most of them here; at most {LARGEST_ORDER} fit")
        self.field = field


class InvalidEditError(Exception):
    """A reviewer's arguments are not what the tool takes.

    Args:
        field: Where.
        message: What is wrong there.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class UnknownProviderError(Exception):
    """An agent's model is of a provider that this server does not know."""


class AlreadyDecidedError(Exception):
    """Another decision came first.

    Args:
        decision: That one, as far as it is known.
        status: The status of the call.
    """

    def __init__(self, decision: Decision | None, status: str) -> None:
        super().__init__(f"the call is already {status}")
        self.decision = decision
        self.status = status
