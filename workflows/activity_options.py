"""How long the activities of a run may take, and how often they are tried."""

from datetime import timedelta

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType, ActivityConfig, LocalActivityConfig

HEARTBEAT = timedelta(seconds=90)
"""The heartbeat timeout: the last resort, where nobody has seen that the lease of a worker is over."""
_TOOL_GRACE = timedelta(seconds=30)
_RETRY_AT_ONCE = RetryPolicy(initial_interval=timedelta(milliseconds=100), backoff_coefficient=1.0)
"""For calls whose worker died: another worker takes over at once, however often that happens. How often a provider or a
tool may fail, and after how long it is tried again, the activities decide themselves."""

WRITE = LocalActivityConfig(
    start_to_close_timeout=timedelta(seconds=30),
    retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10)),
)
"""A transaction on the store: short, repeatable, and tried until the store is back."""


def model_call(model: str) -> ActivityConfig:
    """The options of a model call. A cancelled call still writes its partial answer, and the run waits for that."""
    return ActivityConfig(
        start_to_close_timeout=timedelta(hours=1),
        heartbeat_timeout=HEARTBEAT,
        retry_policy=_RETRY_AT_ONCE,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=model,
    )


def tool_call(name: str, timeout: float) -> ActivityConfig:
    """The options of a tool call. ``timeout`` is the tool's own, in seconds; Temporal's is a little longer."""
    return ActivityConfig(
        start_to_close_timeout=timedelta(seconds=timeout) + _TOOL_GRACE,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=_RETRY_AT_ONCE,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=name,
    )
