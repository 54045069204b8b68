"""How long the history of an execution has become."""

from temporalio import workflow

from longrun.workflows.policy import continuation


def is_long() -> bool:
    """Whether the run must go on in a new execution soon."""
    info = workflow.info()
    return info.is_continue_as_new_suggested() or continuation.is_due(info.get_current_history_length())
