"""What a tool is given while it runs, and what it says when it cannot."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue


@dataclass(frozen=True)
class ToolContext:
    """The call that a tool runs for.

    ``workspace`` is the folder that file tools may touch. ``call_id`` is the same in every attempt of the call: use it
    as the idempotency key of an effect. ``progress`` puts a JSON value into the run's log.
    """

    run_id: str
    call_id: str
    attempt: int
    workspace: Path
    progress: Callable[[JsonValue], Awaitable[None]]


class ToolFailure(Exception):  # noqa: N818 - a failure is what the design calls it
    """Raised by a tool to answer the call with an error that the model sees."""
