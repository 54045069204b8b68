"""When a run goes on in a new execution, and what it hands over."""

from longrun.workflows.contract.runs import RunState
from longrun.workflows.run import Run

LONGEST_HISTORY = 3500
"""Events; a step may add some hundred, and Temporal warns from 4,096."""


def is_due(history_events: int) -> bool:
    """Whether a history is long enough to continue as new, before Temporal itself would suggest it."""
    return history_events >= LONGEST_HISTORY


def carried(run: Run) -> RunState:
    """The state that the next execution starts with: without texts, which the store and the first execution have."""
    order = run.order
    without_texts = order.model_copy(
        update={
            "input": order.input.model_copy(update={"parts": ()}),
            "agent": order.agent.model_copy(update={"system": ""}),
            "metadata": {},
        }
    )
    return RunState(
        order=without_texts,
        started_at=run.started_at,
        step=run.step,
        turn=run.turn,
        usage=run.usage,
        decisions=run.inbox.decisions,
        messages=run.inbox.messages,
        message_ids=run.inbox.message_ids,
    )
