"""What this worker process is called, in attempts and in Temporal, and where an activity comes from."""

import os
import socket

from temporalio import activity

from longrun.store.repair.rewind import Arrival


def worker_name() -> str:
    """``pid@host``, as Temporal's own SDK names its clients."""
    return f"{os.getpid()}@{socket.gethostname()}"


def arrival(run_id: str, step: int | None, turn: int | None = None) -> Arrival:
    """Where the activity that asks comes from.

    Args:
        run_id: Its run.
        step: The last step whose message the run knows, where that is known.
        turn: The turn in which the run is, where that is known.
    """
    return Arrival(run_id, activity.info().workflow_run_id or "", step, turn)
