"""What the store must be told about events: it keeps them, but what they are is for the run's own rules to say."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from workflows.contract.events import Event
from workflows.contract.messages import Message
from workflows.contract.runs import RunOrder, Said
from workflows.contract.steps import (
    Finish,
    ModelReply,
    Pause,
    Progress,
    Reopened,
    StepBegin,
    Superseded,
    ToolOutcome,
    Verdicts,
)


class Recorder(Protocol):
    """The functions of ``workflows.record``, which satisfies this as a module."""

    def leg_id(self, run_id: str, leg: int, at: datetime) -> str: ...  # noqa: D102 - see workflows.record for each
    def started(self, order: RunOrder) -> Event: ...  # noqa: D102
    def begun(self, run_id: str, step: int, begin: StepBegin) -> Sequence[Event]: ...  # noqa: D102
    def said_message(self, run_id: str, step: int, place: int, said: Said) -> Message: ...  # noqa: D102
    def superseded(self, run_id: str, step: int, gone: Superseded) -> Event: ...  # noqa: D102
    def reopened(self, run_id: str, gone: Reopened) -> Event: ...  # noqa: D102
    def message_completed(self, run_id: str, step: int, reply: ModelReply) -> Event: ...  # noqa: D102
    def tool_started(self, run_id: str, outcome: ToolOutcome, arguments: str, at: datetime) -> Event: ...  # noqa: D102
    def tool_progress(self, run_id: str, step: int, call_id: str, progress: Progress) -> Event: ...  # noqa: D102
    def tool_completed(self, run_id: str, outcome: ToolOutcome) -> Event: ...  # noqa: D102
    def pausing(self, pause: Pause, first_leg_id: str, at: datetime) -> Sequence[Event]: ...  # noqa: D102
    def deciding(self, verdicts: Verdicts, at: datetime) -> Sequence[Event]: ...  # noqa: D102
    def ending(self, finish: Finish, current_leg_id: str, at: datetime, output: str) -> Sequence[Event]: ...  # noqa: D102
