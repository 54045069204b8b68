"""The events of a run's log: what every reader sees, in the order of the log.

An event is serialized once, by ``encode``, and numbered when the store gives it its seq. A delta has no clock of its
own: it carries the time at which its attempt started, so that a log rebuilt from history has the same bytes.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, JsonValue, TypeAdapter

from longrun.workflows.contract.agents import AgentSpec
from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.messages import FinishReason, Message, ResultStatus, Usage
from longrun.workflows.contract.runs import Limits, PendingApproval, StopReason, Verdict
from longrun.workflows.contract.shape import Shape


class _Event(Shape):
    """The fields of all events. ``seq`` counts a run's events from 1, without gaps; it is 0 before the append."""

    seq: int = 0
    type: Any  # each event narrows it; declared here, so that it is the second key of all
    run_id: str
    step: int | None = None
    attempt: int | None = None
    at: datetime


class RunAccepted(_Event):
    """The run is accepted: always seq 1."""

    type: Literal["run.accepted"] = "run.accepted"
    thread_id: str
    agent: AgentSpec
    input: Message
    limits: Limits
    metadata: dict[str, JsonValue]


class MessageReceived(_Event):
    """A user's message to a run under way, which joins the conversation before this step."""

    type: Literal["message.received"] = "message.received"
    message: Message
    by: str


class StepStarted(_Event):
    """The model is asked for the message of this step."""

    type: Literal["step.started"] = "step.started"
    model: str


class _PartEvent(_Event):
    message_id: str
    part: int


class TextDelta(_PartEvent):
    """More text of a part; the deltas of a part concatenate."""

    type: Literal["text.delta"] = "text.delta"
    delta: str


class ReasoningDelta(_PartEvent):
    """More reasoning of a part."""

    type: Literal["reasoning.delta"] = "reasoning.delta"
    delta: str


class ToolCallDelta(_PartEvent):
    """More of a tool call's argument text; the first one of a part may have an empty ``delta``."""

    type: Literal["tool_call.delta"] = "tool_call.delta"
    call_id: str
    name: str
    delta: str


class TextCompleted(_PartEvent):
    """A text part is complete."""

    type: Literal["text.completed"] = "text.completed"
    text: str
    refusal: bool = False


class ReasoningCompleted(_PartEvent):
    """A reasoning part is complete."""

    type: Literal["reasoning.completed"] = "reasoning.completed"
    text: str


class ToolCallCompleted(_PartEvent):
    """A tool call is complete, with the arguments as the model wrote them."""

    type: Literal["tool_call.completed"] = "tool_call.completed"
    call_id: str
    name: str
    arguments: str


class MessageCompleted(_Event):
    """The model's message is complete and stored."""

    type: Literal["message.completed"] = "message.completed"
    message_id: str
    finish_reason: FinishReason
    usage: Usage


class AttemptFailed(_Event):
    """An attempt of this step gave no answer; the next one begins at ``next_at``."""

    type: Literal["attempt.failed"] = "attempt.failed"
    cause: ErrorInfo
    next_at: datetime


class AttemptSuperseded(_Event):
    """The events ``from``..``to``, both inclusive, no longer count: attempt ``attempt`` was given up."""

    type: Literal["attempt.superseded"] = "attempt.superseded"
    first: int = Field(validation_alias=AliasChoices("from", "first"), serialization_alias="from")
    last: int = Field(validation_alias=AliasChoices("to", "last"), serialization_alias="to")


class ToolStarted(_Event):
    """A tool starts, with these arguments. Where a reviewer has edited them, ``original`` is the model's own text."""

    type: Literal["tool.started"] = "tool.started"
    call_id: str
    name: str
    arguments: str
    original: str | None = None


class ToolProgress(_Event):
    """A tool reports its progress."""

    type: Literal["tool.progress"] = "tool.progress"
    call_id: str
    data: JsonValue = None


class ToolCompleted(_Event):
    """A call has its one result. With ``whole``, ``content`` is its beginning, and that blob has all of it."""

    type: Literal["tool.completed"] = "tool.completed"
    call_id: str
    name: str
    status: ResultStatus
    content: str
    whole: str | None = None


class ApprovalRequested(_Event):
    """Calls of this step wait for a person."""

    type: Literal["approval.requested"] = "approval.requested"
    calls: tuple[PendingApproval, ...]
    expires_at: datetime


class ApprovalDecided(_Event):
    """A call is decided: the first decision that reached the run counts."""

    type: Literal["approval.decided"] = "approval.decided"
    call_id: str
    decision: Verdict
    by: str
    reason: str | None = None
    args: dict[str, JsonValue] | None = None
    decision_id: str | None = None


class ApprovalExpired(_Event):
    """Nobody decided on a call in time; it is answered as denied."""

    type: Literal["approval.expired"] = "approval.expired"
    call_id: str


class SignalIgnored(_Event):
    """A signal was not understood, or there is no room for it; it changes nothing."""

    type: Literal["signal.ignored"] = "signal.ignored"
    signal: str
    reason: str


class TurnEnded(_Event):
    """A turn ends, at a pause or with the run; the next event is a ``run.*``."""

    type: Literal["turn.ended"] = "turn.ended"
    turn: int
    turn_id: str
    stop_reason: StopReason


class RunWaiting(_Event):
    """The run waits for decisions."""

    type: Literal["run.waiting"] = "run.waiting"
    usage: Usage


class RunResumed(_Event):
    """A new turn starts. With ``from`` and ``to``, a reset of the run took back these events, both inclusive."""

    type: Literal["run.resumed"] = "run.resumed"
    turn: int
    turn_id: str
    first: int | None = Field(default=None, validation_alias=AliasChoices("from", "first"), serialization_alias="from")
    last: int | None = Field(default=None, validation_alias=AliasChoices("to", "last"), serialization_alias="to")


class RunCompleted(_Event):
    """The run has completed. ``output`` is the text of its last message."""

    type: Literal["run.completed"] = "run.completed"
    stop_reason: StopReason
    usage: Usage
    output: str


class RunFailed(_Event):
    """The run has failed."""

    type: Literal["run.failed"] = "run.failed"
    stop_reason: StopReason
    usage: Usage
    error: ErrorInfo


class RunCancelled(_Event):
    """The run is cancelled."""

    type: Literal["run.cancelled"] = "run.cancelled"
    stop_reason: StopReason = "cancelled"
    usage: Usage
    reason: str | None = None
    by: str = "unknown"


Event = Annotated[
    RunAccepted
    | MessageReceived
    | StepStarted
    | TextDelta
    | ReasoningDelta
    | ToolCallDelta
    | TextCompleted
    | ReasoningCompleted
    | ToolCallCompleted
    | MessageCompleted
    | AttemptFailed
    | AttemptSuperseded
    | ToolStarted
    | ToolProgress
    | ToolCompleted
    | ApprovalRequested
    | ApprovalDecided
    | ApprovalExpired
    | SignalIgnored
    | TurnEnded
    | RunWaiting
    | RunResumed
    | RunCompleted
    | RunFailed
    | RunCancelled,
    Field(discriminator="type"),
]

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
TERMINAL = frozenset({"run.completed", "run.failed", "run.cancelled"})


def encode(event: Event) -> bytes:
    """The event's one serialization, without its seq: a JSON object."""
    return event.model_dump_json(exclude={"seq"}, exclude_none=True, by_alias=True).encode()


def number(seq: int, body: bytes) -> bytes:
    """An encoded event with its seq as the first key."""
    return b'{"seq":%d,%b' % (seq, body[1:])


def type_of(line: bytes) -> str:
    """The type of a numbered event, without parsing it: ``type`` is always the second key."""
    return line.split(b'"', 6)[5].decode()
