"""The trace of a result: its events in the log, its document in the journal, its rows, in one transaction."""

from typing import TypeVar

from longrun.store.apply import apply
from longrun.store.db.database import Tx
from longrun.store.journal import keep
from longrun.store.log import Append, Fence, append
from longrun.store.sources import source_of
from longrun.workflows import record
from longrun.workflows.contract.results import (
    CallStarted,
    Failed,
    Finished,
    Ignored,
    Paused,
    Progress,
    Recorded,
    Result,
    Rewound,
    StepOpened,
    Superseded,
    ToolOutcome,
)

R = TypeVar(
    "R",
    StepOpened,
    Superseded,
    Failed,
    CallStarted,
    Progress,
    ToolOutcome,
    Paused,
    Recorded,
    Ignored,
    Finished,
    Rewound,
)  # all but a model's reply, whose events are written while it comes


def write(tx: Tx, run_id: str, result: R, fence: Fence | None = None, *, text: str = "") -> R:
    """Write the trace of a result that has just been made.

    Args:
        tx: The transaction.
        run_id: The run.
        result: The result; the time of its stamp counts.
        fence: What must hold for it to be written.
        text: What its events need of another result, as for ``record.events``.

    Returns:
        The result with its position.

    Raises:
        FencedError: The fence does not hold, or there is no such run.
    """
    events = record.events(result, run_id, text)
    span = append(tx, Append(run_id, source_of(result), events), fence)
    stamp = result.stamp.model_copy(update={"first": span.first})
    written = result.model_copy(update={"stamp": stamp})
    settle(tx, run_id, written, span.last)
    return written


def settle(tx: Tx, run_id: str, result: Result, last: int) -> None:
    """Write the document and the rows of a result whose events are in the log, up to seq ``last``."""
    keep(tx, run_id, result)
    apply(result, tx, run_id, last)
