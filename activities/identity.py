"""What this worker process is called, in attempts and in Temporal."""

import os
import socket


def worker_name() -> str:
    """``pid@host``, as Temporal's own SDK names its clients."""
    return f"{os.getpid()}@{socket.gethostname()}"
