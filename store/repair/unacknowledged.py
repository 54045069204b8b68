"""What the store has of a run that ends, and what the run itself may not know.

A worker commits first and reports to Temporal then. If it dies in between, the next attempt finds the result and
reports it; but a run that was cancelled meanwhile makes no attempt. So the run's end carries these results, and history
has all that the log has.
"""

from collections.abc import Iterator

from longrun.store.db.database import Tx
from longrun.store.journal import after, find
from longrun.workflows import positions
from longrun.workflows.contract.requests import Finish
from longrun.workflows.contract.results import ModelReply, Paused, Recorded, ToolOutcome

LARGEST = 1024 * 1024
"""Characters of tool results that an end carries: more would not fit into one of Temporal's payloads."""


def unacknowledged(tx: Tx, finish: Finish) -> tuple[ModelReply | ToolOutcome | Paused | Recorded, ...]:
    """The results that were committed after the last message that the run has received; it may know some of them."""
    if finish.acknowledged is None or finish.outcome.status == "completed":
        return ()
    return tuple(_results(tx, finish.run_id, finish.acknowledged))


def _results(tx: Tx, run_id: str, step: int) -> Iterator[ModelReply | ToolOutcome | Paused | Recorded]:
    known = find(tx, run_id, f"step:{step}:reply", ModelReply)
    room = LARGEST
    for result in after(tx, run_id, positions.first_seq(known) if known else 0):
        if isinstance(result, ToolOutcome):
            room -= len(result.model_dump_json())
        if isinstance(result, ModelReply | Paused | Recorded) or (isinstance(result, ToolOutcome) and room >= 0):
            yield result
