"""What runs can be listed and searched by in the Web UI."""

from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

RUN_STATUS = SearchAttributeKey.for_keyword("RunStatus")
STOP_REASON = SearchAttributeKey.for_keyword("StopReason")
AGENT_NAME = SearchAttributeKey.for_keyword("AgentName")
THREAD_ID = SearchAttributeKey.for_keyword("ThreadId")


def standing(status: str, reason: str | None = None) -> list[SearchAttributeUpdate[str]]:
    """The updates that show where a run stands, and why it ended."""
    return [RUN_STATUS.value_set(status), *([STOP_REASON.value_set(reason)] if reason else [])]
