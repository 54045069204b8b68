"""The search attributes of runs: what the Web UI lists and searches them by."""

from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

RUN_STATUS = SearchAttributeKey.for_keyword("RunStatus")
STOP_REASON = SearchAttributeKey.for_keyword("StopReason")
AGENT_NAME = SearchAttributeKey.for_keyword("AgentName")
THREAD_ID = SearchAttributeKey.for_keyword("ThreadId")
ATTRIBUTES = (RUN_STATUS, STOP_REASON, AGENT_NAME, THREAD_ID)


def status_updates(status: str, stop_reason: str | None = None) -> list[SearchAttributeUpdate[str]]:
    """The updates that show a run's status, and why it ended."""
    return [RUN_STATUS.value_set(status), *([STOP_REASON.value_set(stop_reason)] if stop_reason else [])]
