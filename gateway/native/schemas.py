"""What the API takes and gives, as pydantic models; the OpenAPI document is made from them."""

import json
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Discriminator, Field, JsonValue, Tag, field_validator
from pydantic_core import to_json

from longrun.store.db.tables import AgentRow, ApprovalRow, RunRow
from longrun.store.runs import OnBusy
from longrun.workflows.contract.agents import AgentSpec, ModelParams, ToolUse
from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.messages import Message, TextPart, Usage
from longrun.workflows.contract.runs import Decision, Limits, PendingApproval, RunOrder, RunStatus, StopReason, Verdict

MOST_TEXT = 1024 * 1024
"""Bytes of text in one message, as JSON: Temporal takes payloads of 2 MB."""
MOST_METADATA = 16 * 1024
"""Bytes of metadata, as JSON."""

_CALL_ID = r"^[\x21-\x7e]{1,256}$"


def _bounded(text: str) -> str:
    _fits(text)
    return text


def _fits(given: JsonValue) -> None:
    if len(to_json(given)) > MOST_TEXT:
        raise ValueError(f"is longer than {MOST_TEXT} bytes, as JSON")


class InputPart(BaseModel):
    """A piece of text."""

    type: Literal["text"] = "text"
    text: str = Field(min_length=1)


class InputMessage(BaseModel):
    """What a user says."""

    role: Literal["user"] = "user"
    parts: list[InputPart] = Field(min_length=1, max_length=100)

    @field_validator("parts")
    @classmethod
    def _not_too_long(cls, parts: list[InputPart]) -> list[InputPart]:
        _bounded("".join(part.text for part in parts))
        return parts

    def message(self, message_id: str) -> Message:
        """The message that the run begins with."""
        return Message(id=message_id, role="user", parts=tuple(TextPart(text=part.text) for part in self.parts))


class AgentBody(AgentSpec):
    """An agent to keep. Without ``model`` it gets the server's."""

    model: str = ""

    def spec(self, default_model: str) -> AgentSpec:
        """The agent with its model."""
        return AgentSpec.model_validate({**dict(self), "model": self.model or default_model})


class InlineAgent(AgentBody):
    """An agent for one run."""

    name: str = Field(default="inline", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")


class AgentPatch(BaseModel):
    """The fields of an agent to replace; ``tools`` and ``params`` are replaced as a whole."""

    name: str | None = None
    model: str | None = None
    system: str | None = None
    tools: list[JsonValue] | None = None
    params: dict[str, JsonValue] | None = None


def _shape_of(given: object) -> str:
    return "<name>" if isinstance(given, str) else "<inline>"


def _words_or_message(given: object) -> str:
    return "<text>" if isinstance(given, str) else "<message>"


class CreateRun(BaseModel):
    """A run to start.

    ``agent`` is the name or the id of a kept agent, or an agent for this run alone. ``thread_id`` joins a
    conversation: the run sees the messages of the thread's earlier runs and waits until they have ended, unless
    ``on_busy`` is ``reject``.
    """

    agent: Annotated[
        Annotated[str, Field(min_length=1, max_length=100), Tag("<name>")] | Annotated[InlineAgent, Tag("<inline>")],
        Discriminator(_shape_of),
    ]
    input: Annotated[
        Annotated[str, Field(min_length=1), Tag("<text>")] | Annotated[InputMessage, Tag("<message>")],
        Discriminator(_words_or_message),
    ]
    thread_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$")
    limits: Limits = Limits()
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    on_busy: OnBusy = "queue"

    @field_validator("input")
    @classmethod
    def _not_too_long(cls, given: str | InputMessage) -> str | InputMessage:
        return _bounded(given) if isinstance(given, str) else given

    @field_validator("metadata")
    @classmethod
    def _not_too_large(cls, metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if len(json.dumps(metadata)) > MOST_METADATA:
            raise ValueError(f"is larger than {MOST_METADATA} bytes")
        return metadata

    def message(self, message_id: str) -> Message:
        """The message that the run begins with."""
        given = self.input
        said = InputMessage(parts=[InputPart(text=given)]) if isinstance(given, str) else given
        return said.message(message_id)


class CancelBody(BaseModel):
    """Why a run is cancelled, and by whom."""

    reason: str | None = Field(default=None, max_length=2000)
    by: str = Field(default="api", min_length=1, max_length=200)


class SayBody(BaseModel):
    """A user's words for a run that is under way. ``id`` makes a repeat harmless."""

    text: str = Field(min_length=1)
    by: str = Field(default="api", min_length=1, max_length=200)
    id: str | None = Field(default=None, pattern=_CALL_ID)

    @field_validator("text")
    @classmethod
    def _not_too_long(cls, text: str) -> str:
        return _bounded(text)


class DecideBody(BaseModel):
    """A reviewer's word on a call.

    ``edit`` needs ``args``, which replace the model's; ``answer`` needs ``answer``, which becomes the call's result.
    ``run_id`` is needed where two runs wait with the same call id, and for a decision before the call is known.
    ``id`` makes a repeat harmless: the same decision with the same id is one.
    """

    decision: Verdict
    args: dict[str, JsonValue] | None = None
    answer: str | None = None
    reason: str | None = Field(default=None, max_length=20_000)
    by: str = Field(default="api", min_length=1, max_length=200)
    run_id: str | None = None
    id: str | None = Field(default=None, pattern=_CALL_ID)

    @field_validator("args", "answer")
    @classmethod
    def _not_too_long(cls, given: JsonValue) -> JsonValue:
        _fits(given)
        return given


class AgentView(BaseModel):
    """A kept agent."""

    id: str
    name: str
    model: str
    system: str
    tools: tuple[ToolUse, ...]
    params: ModelParams
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: AgentRow) -> "AgentView":
        """The view of a row."""
        spec = AgentSpec.model_validate_json(row.spec)
        return cls(id=row.id, created_at=row.created_at, updated_at=row.updated_at, **dict(spec))


class Links(BaseModel):
    """Where to read the run's log."""

    stream: str
    events: str


class RunView(BaseModel):
    """A run as it stands. ``output`` is the text of its last message, once it is over."""

    id: str
    thread_id: str
    agent: AgentSpec
    status: RunStatus
    stop_reason: StopReason | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    step: int
    turn: int
    usage: Usage
    limits: Limits
    metadata: dict[str, JsonValue]
    output: str | None
    error: ErrorInfo | None
    pending_approvals: list[PendingApproval]
    links: Links

    @classmethod
    def of(cls, row: RunRow, pending: list[ApprovalRow]) -> "RunView":
        """The view of a row and of the calls that wait."""
        order = RunOrder.model_validate_json(row.order)
        return cls.model_validate(
            {
                **row.model_dump(include={"id", "thread_id", "status", "stop_reason", "step", "turn", "output"}),
                **row.model_dump(include={"created_at", "started_at", "ended_at"}),
                "agent": order.agent,
                "usage": Usage.model_validate_json(row.usage),
                "limits": order.limits,
                "metadata": order.metadata,
                "error": ErrorInfo.model_validate_json(row.error) if row.error else None,
                "pending_approvals": [PendingApproval.model_validate(each.model_dump()) for each in pending],
                "links": Links(stream=f"/api/runs/{row.id}/stream", events=f"/api/runs/{row.id}/events"),
            }
        )


class ApprovalView(BaseModel):
    """A call that waits, or waited, for a decision. ``arguments`` is what it would be run with.

    ``interrupted`` is the id of a call that was begun and left, where ``call_id`` asks whether to run it again.
    """

    call_id: str
    run_id: str
    step: int
    turn: int
    name: str
    arguments: str
    reason: str
    interrupted: str | None
    status: Literal["pending", "approved", "denied", "edited", "answered", "expired", "cancelled"]
    decision: Decision | None
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None

    @classmethod
    def of(cls, row: ApprovalRow) -> "ApprovalView":
        """The view of a row."""
        decision = Decision.model_validate_json(row.decision) if row.decision else None
        return cls.model_validate({**row.model_dump(), "decision": decision})


class Delivered(BaseModel):
    """What became of a signal: the run has it, or it is kept until Temporal answers."""

    run_id: str
    delivery: Literal["delivered", "accepted", "over"]
