"""What this worker process is called, in attempts and in Temporal, and the execution of an activity."""

import os
import socket
from secrets import token_hex

from temporalio import activity

from longrun.store.repair.rewind import Origin


def new_worker_name() -> str:
    """``pid@host``, as Temporal's own SDK names its clients, and what makes it unlike any other."""
    return f"{os.getpid()}@{socket.gethostname()}-{token_hex(3)}"


def origin_of(run_id: str, step: int | None, turn: int | None = None) -> Origin:
    """The execution of the activity that runs.

    Args:
        run_id: Its run.
        step: The last step whose message the run knows, where that is known.
        turn: The turn in which the run is, where that is known.
    """
    return Origin(run_id, activity.info().workflow_run_id or "", step, turn, last_reported())


def last_reported() -> int:
    """The last seq that heartbeats of the attempt before have told of; 0 if they have told of none."""
    return max((detail for detail in activity.info().heartbeat_details if isinstance(detail, int)), default=0)
