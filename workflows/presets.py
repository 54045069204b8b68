"""How long the run's activities may take, and how often they are tried."""

from datetime import timedelta

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType, ActivityConfig, LocalActivityConfig

HEARTBEAT = timedelta(seconds=5)
"""A worker that says nothing for so long is taken for dead."""
_TOOL_GRACE = timedelta(seconds=30)
_AT_ONCE = RetryPolicy(initial_interval=timedelta(milliseconds=100), backoff_coefficient=1.0)
"""For calls whose worker died: another one takes over at once, however often that happens. How often a provider or a
tool may fail, and how long to wait then, the activities say themselves."""

WRITE = LocalActivityConfig(
    start_to_close_timeout=timedelta(seconds=30),
    retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10)),
)
"""A transaction on the store: short, repeatable, and tried until the store is back."""


def model_call(model: str) -> ActivityConfig:
    """A model call; the run waits for a cancelled one to write down what it had."""
    return ActivityConfig(
        start_to_close_timeout=timedelta(hours=1),
        heartbeat_timeout=HEARTBEAT,
        retry_policy=_AT_ONCE,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=model,
    )


def tool_call(name: str, timeout: float) -> ActivityConfig:
    """A tool call. ``timeout`` is the tool's own, in seconds; Temporal's is a little longer."""
    return ActivityConfig(
        start_to_close_timeout=timedelta(seconds=timeout) + _TOOL_GRACE,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=_AT_ONCE,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=name,
    )
