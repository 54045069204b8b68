"""Where a run ends by itself: after so many steps, and at its deadline."""

from datetime import datetime, timedelta

from longrun.workflows.contract.runs import Limits, Outcome
from longrun.workflows.policy.outcomes import MAX_STEPS

SHORTEST_TIMER = 0.002
"""Seconds; Temporal's timers count milliseconds, and one of less than a millisecond never fires."""


def step_limit(limits: Limits, steps: int) -> Outcome | None:
    """The end of a run that has asked the model as often as it may."""
    return MAX_STEPS if steps >= limits.max_steps else None


def seconds_to_deadline(limits: Limits, started_at: datetime, now: datetime) -> float | None:
    """Seconds until the run's deadline; 0 when it has passed, ``None`` without one."""
    if limits.deadline is None:
        return None
    return seconds_until(started_at + timedelta(seconds=limits.deadline), now)


def seconds_until(moment: datetime, now: datetime) -> float:
    """Seconds until a moment; 0 when it has passed or is nearer than the shortest timer."""
    seconds = (moment - now).total_seconds()
    return seconds if seconds >= SHORTEST_TIMER else 0.0
