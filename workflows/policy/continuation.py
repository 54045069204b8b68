"""When a run goes on in a new execution, and what it hands over."""

from longrun.workflows.contract.runs import RunState
from longrun.workflows.run import Run

LONGEST_HISTORY = 3500
"""Events; a step may add some hundred, and Temporal warns from 4,096."""


LARGEST_STATE = 1_900_000
"""Bytes; Temporal refuses a payload of more than 2 MiB."""


class Due(Exception):  # noqa: N818 - not an error
    """The history of a run that waits is so long that it goes on waiting in a new execution."""


def is_due(history_events: int) -> bool:
    """Whether a history is long enough to continue as new, before Temporal itself would suggest it."""
    return history_events >= LONGEST_HISTORY


def carried(run: Run, *, waiting: bool = False) -> RunState:
    """The state that the next execution starts with: without texts, which the store and the first execution have.

    Args:
        run: The run.
        waiting: It waits in the middle of a step: the next execution begins that step again, whose message, pauses,
            verdicts and results are given back to it as they were written.
    """
    order = run.order
    without_texts = order.model_copy(
        update={
            "input": order.input.model_copy(update={"parts": ()}),
            "agent": order.agent.model_copy(update={"system": ""}),
            "metadata": {},
        }
    )
    entered = run.entered
    return RunState(
        order=without_texts,
        started_at=run.started_at,
        step=run.step - 1 if waiting else run.step,
        turn=entered.turn if waiting else run.turn,
        acknowledged=run.acknowledged,
        usage=entered.usage if waiting else run.usage,
        noted=run.inbox.noted,
        decisions=(*entered.decisions, *run.inbox.decisions) if waiting else run.inbox.decisions,
        messages=run.inbox.messages,
        message_ids=run.inbox.message_ids,
    )


def fits(state: RunState) -> bool:
    """Whether Temporal takes a state."""
    return len(state.model_dump_json().encode()) <= LARGEST_STATE
