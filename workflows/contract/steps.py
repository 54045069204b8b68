"""The ports of a run: what it asks of the world, step by step, and what it gets back.

``activities/`` implements them; the run only sees these classes, so that it imports no I/O. What goes in are
references (run, step, call), never conversations; what comes out is all that history needs to rebuild the log.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import datetime

from pydantic import Field, JsonValue
from temporalio import activity

from longrun.workflows.contract.agents import Approval
from longrun.workflows.contract.attempts import AttemptEntry
from longrun.workflows.contract.messages import FinishReason, Message, ResultStatus, Usage
from longrun.workflows.contract.runs import Decision, Outcome, PendingApproval, Said
from longrun.workflows.contract.shape import Shape


class Stamp(Shape):
    """Where an append went: the seq of its first event, and the time that its events carry."""

    first: int
    at: datetime


class Span(Shape):
    """The seqs ``first..last``, both inclusive."""

    first: int
    last: int


class Superseded(Shape):
    """An attempt whose deltas no longer stand, and the place of the notice that says so."""

    attempt: int
    first: int
    last: int
    notice: Stamp


class Reopened(Shape):
    """A reset took back ``first..last``: the run goes on in turn ``turn``; ``notice`` is the place of what says so."""

    first: int
    last: int
    turn: int
    turn_id: str
    notice: Stamp


class ModelCall(Shape):
    """Ask the model for step ``step``. ``said`` joins the conversation before it."""

    run_id: str
    step: int
    said: tuple[Said, ...] = ()


class ToolPlan(Shape):
    """What the run must know of a called tool: who must agree, and how long it may take (seconds)."""

    approval: Approval
    timeout: float


class StepBegin(Shape):
    """What the first attempt of a step left in the log: ``message.received`` per word said, then ``step.started``.

    ``attempt`` is that attempt: not 1 where a reset took back the ones before. ``reopened`` are the resets until then.
    """

    stamp: Stamp
    model: str
    said: tuple[Said, ...] = ()
    attempt: int = 1
    reopened: tuple[Reopened, ...] = ()


class ModelReply(Shape):
    """A step's one message, with all that its log entries are made from.

    ``marks`` says how the deltas cut the message: ``n > 0`` is a delta of n characters of the current part, ``0`` its
    completion, ``-k`` turns to part ``k - 1``. ``spans`` are the seqs of these events and of ``message.completed``.
    ``attempt`` is the one that asked, in whose name all of it stands. ``attempts`` are those that it took.
    ``plans`` has an entry for each tool that is called and known.
    """

    message: Message
    finish_reason: FinishReason
    usage: Usage
    attempt: int
    begin: StepBegin
    superseded: tuple[Superseded, ...] = ()
    attempt_at: datetime
    marks: tuple[int, ...]
    spans: tuple[Span, ...]
    completed_at: datetime
    attempts: tuple[AttemptEntry, ...] = ()
    plans: dict[str, ToolPlan] = Field(default_factory=dict)


class OpenStep(Shape):
    """A step that began and has no message: what it left in the log."""

    step: int
    begin: StepBegin
    superseded: tuple[Superseded, ...] = ()
    attempts: tuple[AttemptEntry, ...] = ()


class ToolCall(Shape):
    """Run one call. ``args`` replaces the model's arguments where a reviewer edited them.

    ``again`` is the number of the attempt that a person has agreed to, of a call that was interrupted.
    """

    run_id: str
    step: int
    call_id: str
    name: str
    args: dict[str, JsonValue] | None = None
    again: int = 0

    @property
    def edited(self) -> str | None:
        """A reviewer's arguments, as JSON text."""
        return None if self.args is None else json.dumps(self.args, separators=(",", ":"))


class Progress(Shape):
    """Something a tool reported."""

    stamp: Stamp
    attempt: int
    data: JsonValue


class ToolOutcome(Shape):
    """A call's one result, and what the call left in the log. ``started`` is ``None`` for a call that never ran.

    ``arguments`` is what the tool was first run with, ``None`` where that is the model's own text. ``whole`` names the
    blob that has all of a result of which ``content`` is the beginning. ``attempts`` are those that it took.
    """

    step: int
    call_id: str
    name: str
    status: ResultStatus
    content: str
    whole: str | None = None
    attempt: int = 1
    arguments: str | None = None
    started: Stamp | None = None
    progress: tuple[Progress, ...] = ()
    completed: Stamp
    attempts: tuple[AttemptEntry, ...] = ()


class Answer(Shape):
    """A result for a call that is not run: denied, answered by a reviewer, unknown, failed for good."""

    call_id: str
    name: str
    status: ResultStatus
    content: str


class Answers(Shape):
    """Give these calls of a step their results."""

    run_id: str
    step: int
    answers: tuple[Answer, ...]


class Answered(Shape):
    """The results that now stand: where a call had one already, the old one."""

    outcomes: tuple[ToolOutcome, ...]


class Pause(Shape):
    """End the turn: these calls wait."""

    run_id: str
    step: int
    turn: int
    calls: tuple[PendingApproval, ...]
    expires_at: datetime
    usage: Usage


class Paused(Shape):
    """Where ``approval.requested``, ``turn.ended`` and ``run.waiting`` went."""

    pause: Pause
    stamp: Stamp


class Verdicts(Shape):
    """Record decisions and expired calls; ``resume`` begins the next turn with them."""

    run_id: str
    step: int
    turn: int
    decisions: tuple[Decision, ...] = ()
    expired: tuple[str, ...] = ()
    resume: bool

    @classmethod
    def of(
        cls, pause: Pause, *, decisions: Iterable[Decision] = (), expired: Iterable[str] = (), resume: bool
    ) -> "Verdicts":
        """What was decided about the calls of a pause."""
        return cls(
            run_id=pause.run_id,
            step=pause.step,
            turn=pause.turn,
            decisions=tuple(decisions),
            expired=tuple(expired),
            resume=resume,
        )


class Recorded(Shape):
    """Where the verdicts and perhaps ``run.resumed`` went."""

    verdicts: Verdicts
    stamp: Stamp


class Finish(Shape):
    """End the run. ``answered`` is the last step whose message the run knows."""

    run_id: str
    turn: int
    outcome: Outcome
    usage: Usage
    answered: int | None = None


class Finished(Shape):
    """What the end left in the log, in this order: open steps, answers to open calls, ``turn.ended`` and ``run.*``.

    ``reopened`` are the resets until then; ``unheard`` is what was written before and the run may not know.
    """

    finish: Finish
    open_steps: tuple[OpenStep, ...] = ()
    closed: tuple[ToolOutcome, ...] = ()
    stamp: Stamp
    reopened: tuple[Reopened, ...] = ()
    unheard: tuple[ModelReply | ToolOutcome | Paused | Recorded, ...] = ()


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
    async def finish_run(self, finish: Finish) -> Finished:
        """Close what is open, write the end, release the thread and start its next run."""
