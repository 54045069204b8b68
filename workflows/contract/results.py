"""What the activities of a run give back: a result, with its stamps and spans, is all that its log is made from.

``record`` makes the events of a result, ``store.apply`` its rows; Temporal's history and the store keep it as it is.
"""

from datetime import datetime

from pydantic import Field, JsonValue

from longrun.workflows.contract.attempts import AttemptEntry
from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.messages import FinishReason, Message, ResultStatus, ToolCallPart, Usage
from longrun.workflows.contract.requests import CallPlan, Finish, Ignore, Pause, Verdicts
from longrun.workflows.contract.runs import Said
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
    """The deltas ``first..last`` of an attempt of a step no longer stand; ``stamp`` is that of the notice."""

    step: int
    attempt: int
    first: int
    last: int
    stamp: Stamp


class Failed(Shape):
    """An attempt of a step gave no answer, and another one begins at ``next_at``; ``stamp`` is that of the notice."""

    step: int
    attempt: int
    cause: ErrorInfo
    next_at: datetime
    stamp: Stamp


class Rewound(Shape):
    """A reset took back the events ``first..last``, and the run goes on in turn ``turn``; ``stamp`` is the notice's.

    ``calls`` are the ids of the calls that this reset and those before it took back.
    """

    first: int
    last: int
    turn: int
    turn_id: str
    calls: tuple[str, ...] = ()
    stamp: Stamp


Notice = Superseded | Failed
"""What the log says of a step's attempts, besides what they have written."""


class StepOpened(Shape):
    """The first attempt of a step: ``message.received`` for each of ``said``, then ``step.started``.

    ``attempt`` is that attempt: not 1 where a reset took back the ones before. ``rewinds`` are the resets until then.
    """

    step: int
    stamp: Stamp
    model: str
    said: tuple[Said, ...] = ()
    attempt: int = 1
    rewinds: tuple[Rewound, ...] = ()


class ModelReply(Shape):
    """A step's one message, with all that its log entries are made from.

    ``marks`` says how the deltas cut the message: ``n > 0`` is a delta of n characters of the current part, ``0`` its
    completion, ``-k`` turns to part ``k - 1``. ``spans`` are the seqs of these events and of ``message.completed``.
    ``attempt`` is the one that asked, in whose name all of it stands. ``attempts`` are those that it took.
    ``plans`` has an entry for each call of a tool that the agent may use, by the call's id. ``kept`` names the blob
    that has all of a reply that is too large for history; what is here has ``message.completed`` alone then.
    """

    step: int
    message: Message
    finish_reason: FinishReason
    usage: Usage
    attempt: int
    opened: StepOpened
    notices: tuple[Notice, ...] = ()
    attempt_at: datetime
    marks: tuple[int, ...]
    spans: tuple[Span, ...]
    completed_at: datetime
    attempts: tuple[AttemptEntry, ...] = ()
    plans: dict[str, CallPlan] = Field(default_factory=dict)
    kept: str | None = None

    @property
    def cut_calls(self) -> tuple[ToolCallPart, ...]:
        """The calls that the model's limit has cut."""
        if self.finish_reason != "length":
            return ()
        return tuple(part for part in self.message.parts if isinstance(part, ToolCallPart) and part.cut)

    @property
    def calls(self) -> tuple[ToolCallPart, ...]:
        """The calls that get a result: those that are whole, and those that the model's limit has cut."""
        return (*self.message.calls, *self.cut_calls)


class OpenStep(Shape):
    """A step that was opened and has no message."""

    opened: StepOpened
    notices: tuple[Notice, ...] = ()
    attempts: tuple[AttemptEntry, ...] = ()


class CallStarted(Shape):
    """A tool begins to run. ``arguments`` are a reviewer's, ``None`` where they are the model's own text."""

    step: int
    call_id: str
    name: str
    arguments: str | None = None
    stamp: Stamp


class Progress(Shape):
    """Report number ``index`` of an attempt of a call."""

    step: int
    call_id: str
    attempt: int
    index: int
    data: JsonValue
    stamp: Stamp


class ToolOutcome(Shape):
    """A call's one result. ``started`` is ``None`` for a call that never ran, ``stamp`` is that of the result.

    ``arguments`` is what the tool was first run with, ``None`` where that is the model's own text. ``whole`` names the
    blob that has all of a result of which ``content`` is the beginning. ``attempts`` are those that it took. ``kept``
    names the blob that has all of an outcome that is too large for history.
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
    stamp: Stamp
    attempts: tuple[AttemptEntry, ...] = ()
    kept: str | None = None


class Answered(Shape):
    """The results that now stand: where a call had one already, the old one."""

    outcomes: tuple[ToolOutcome, ...]


class Paused(Shape):
    """A pause as it was written: ``approval.requested``, ``turn.ended`` of turn ``turn_id``, ``run.waiting``."""

    pause: Pause
    turn_id: str
    stamp: Stamp


class Recorded(Shape):
    """Verdicts as they were written, with ``run.resumed`` if they begin the next turn."""

    verdicts: Verdicts
    stamp: Stamp


class Ignored(Shape):
    """Signals that were ignored, as they were noted: ``signal.ignored`` for each."""

    ignore: Ignore
    stamp: Stamp


class Finished(Shape):
    """The end as it was written: open steps, answers to open calls, then ``turn.ended`` of ``turn_id`` and ``run.*``.

    ``rewinds`` are the resets until then; ``unacknowledged`` is what was committed before and the run may not know.
    ``kept`` names the blob that has all of an end that is too large for history.
    """

    finish: Finish
    turn_id: str
    open_steps: tuple[OpenStep, ...] = ()
    closed: tuple[ToolOutcome, ...] = ()
    stamp: Stamp
    rewinds: tuple[Rewound, ...] = ()
    unacknowledged: tuple[ModelReply | ToolOutcome | Paused | Recorded, ...] = ()
    kept: str | None = None


Result = (
    StepOpened
    | Superseded
    | Failed
    | ModelReply
    | CallStarted
    | Progress
    | ToolOutcome
    | Paused
    | Recorded
    | Ignored
    | Finished
    | Rewound
)
"""What an activity leaves behind: ``record`` makes its events, ``store.apply`` its rows."""
