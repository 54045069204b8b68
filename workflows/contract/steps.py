"""The ports of a run: what it asks of the world, step by step, and what it gets back.

``activities/`` implements them; the run only sees these classes, so that it imports no I/O.
"""

from abc import ABC, abstractmethod

from temporalio import activity

from longrun.workflows.contract.requests import Answers, Finish, Ignore, ModelCall, Pause, Stopping, ToolCall, Verdicts
from longrun.workflows.contract.results import Answered, Finished, Ignored, ModelReply, Paused, Recorded, ToolOutcome


class ModelSteps(ABC):
    """Asking a model."""

    @activity.defn
    @abstractmethod
    async def call_model(self, call: ModelCall) -> ModelReply:
        """Stream one answer into the log and return it whole; a step that has its message returns that one."""


class ToolSteps(ABC):
    """Running a tool."""

    @activity.defn
    @abstractmethod
    async def run_tool(self, call: ToolCall) -> ToolOutcome:
        """Run one approved call and keep its result; a call that has its result returns that one."""


class LifecycleSteps(ABC):
    """What a run writes about itself. Each is one transaction, and repeating it changes nothing."""

    @activity.defn
    @abstractmethod
    async def answer_calls(self, answers: Answers) -> Answered:
        """Give calls that are not run their results."""

    @activity.defn
    @abstractmethod
    async def pause_run(self, pause: Pause) -> Paused:
        """Ask for approval and end the turn."""

    @activity.defn
    @abstractmethod
    async def record_verdicts(self, verdicts: Verdicts) -> Recorded:
        """Write decisions to the log; with ``resume``, set the run going again."""

    @activity.defn
    @abstractmethod
    async def note_ignored(self, ignore: Ignore) -> Ignored:
        """Write to the log which signals were ignored."""

    @activity.defn
    @abstractmethod
    async def note_stopping(self, stopping: Stopping) -> None:
        """Let the workers know that have calls of the run in flight: they ask Temporal whether to stop."""

    @activity.defn
    @abstractmethod
    async def finish_run(self, finish: Finish) -> Finished:
        """Close what is open, write the end, release the thread and start its next run."""
