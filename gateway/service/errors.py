"""The errors of the services: what a door has to render in its API's own shape."""

from collections.abc import Sequence

from longrun.gateway.streaming.tail import PrunedError
from longrun.runtime.temporal import TemporalUnavailableError
from longrun.store.agents import NameTakenError
from longrun.store.db.database import StoreUnavailableError
from longrun.store.runs import KeyReusedError, ThreadBusyError
from longrun.workflows.contract.runs import Decision

__all__ = [
    "AlreadyDecidedError",
    "AmbiguousCallError",
    "KeyReusedError",
    "NameTakenError",
    "PrunedError",
    "RunOverError",
    "StoreUnavailableError",
    "TemporalUnavailableError",
    "ThreadBusyError",
    "UnknownAgentError",
    "UnknownCallError",
    "UnknownResultError",
    "UnknownRunError",
    "UnknownToolsError",
]


class UnknownRunError(Exception):
    """There is no such run, neither in the store nor in Temporal."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"there is no run {run_id}: neither the store nor Temporal knows it (any more)")


class RunOverError(Exception):
    """The run has ended, so that it takes no signal any more."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"run {run_id} has ended")


class UnknownResultError(Exception):
    """There is no such call in the run, or it has no result."""

    def __init__(self, run_id: str, call_id: str) -> None:
        super().__init__(f"no call {call_id} of run {run_id} has a result")


class UnknownAgentError(Exception):
    """There is no agent of this id or name."""

    def __init__(self, key: str) -> None:
        super().__init__(f"there is no agent {key!r}")


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


class UnknownCallError(Exception):
    """No run waits for a decision on this call."""

    def __init__(self, call_id: str) -> None:
        super().__init__(f"no call {call_id} waits; name its run_id to decide early")


class AmbiguousCallError(Exception):
    """Several runs wait for a decision on a call of this id."""

    def __init__(self, call_id: str, run_ids: Sequence[str]) -> None:
        super().__init__(f"is needed: the call {call_id} waits in the runs {', '.join(run_ids)}")


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
