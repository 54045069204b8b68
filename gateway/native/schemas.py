"""What the API takes, as pydantic models; the OpenAPI document is made from them."""

import json
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import to_json

from longrun.workflows.contract.agents import AgentSpec
from longrun.workflows.contract.messages import Message, TextPart
from longrun.workflows.contract.runs import Limits, OnBusy, Verdict

MOST_TEXT = 1024 * 1024
"""Bytes of text in one message, as JSON: Temporal takes payloads of 2 MB."""
MOST_METADATA = 16 * 1024
"""Bytes of metadata, as JSON."""

_CALL_ID = r"^[\x21-\x7e]{1,256}$"


By = Annotated[
    str, Field(min_length=1, max_length=200, description="Who does it. A key with a name is its holder's signature.")
]
CallId = Annotated[str, Field(min_length=1, max_length=4096)]
"""The id of a call: whatever its model's host made up."""


def _one_spelling(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as error:
        raise ValueError("is not a UUID") from error


Id = Annotated[str, AfterValidator(_one_spelling), WithJsonSchema({"type": "string", "format": "uuid"})]
"""The id of a run."""


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


_AGENT: dict[str, Any] = {
    "model": "openai/gpt-5",
    "system": "You keep the books.",
    "tools": [
        "read_file",
        {"name": "write_file", "approval": "always"},
        {"name": "send_invoice", "approval": {"when": [{"argument": "cents", "operator": "greater", "value": 10000}]}},
    ],
}


class AgentBody(AgentSpec):
    """An agent to keep. Without ``model`` it gets the server's."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "bookkeeper", **_AGENT}]})

    model: str = ""

    def spec(self, default_model: str) -> AgentSpec:
        """The agent with its model."""
        return AgentSpec.model_validate({**dict(self), "model": self.model or default_model})


class InlineAgent(AgentBody):
    """An agent for one run."""

    model_config = ConfigDict(json_schema_extra={"examples": [_AGENT]})

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


def _text_or_message(given: object) -> str:
    return "<text>" if isinstance(given, str) else "<message>"


class CreateRun(BaseModel):
    """A run to start.

    ``agent`` is the name or the id of a kept agent, or an agent for this run alone. ``thread_id`` joins a
    conversation: the run sees the messages of the thread's earlier runs and waits until they have ended, unless
    ``on_busy`` is ``reject``.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"agent": {"model": "scripted/hello"}, "input": "hi"},
                {
                    "agent": "bookkeeper",
                    "input": "Which invoices are open?",
                    "thread_id": "office",
                    "limits": {"max_steps": 20},
                },
            ]
        }
    )

    agent: Annotated[
        Annotated[str, Field(min_length=1, max_length=100), Tag("<name>")] | Annotated[InlineAgent, Tag("<inline>")],
        Discriminator(_shape_of),
    ]
    input: Annotated[
        Annotated[str, Field(min_length=1), Tag("<text>")] | Annotated[InputMessage, Tag("<message>")],
        Discriminator(_text_or_message),
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
    by: By = "api"


class SayBody(BaseModel):
    """A user's message to a run that is under way. ``id`` makes a repeat harmless."""

    text: str = Field(min_length=1)
    by: By = "api"
    id: str | None = Field(default=None, pattern=_CALL_ID)

    @field_validator("text")
    @classmethod
    def _not_too_long(cls, text: str) -> str:
        return _bounded(text)


class DecideBody(BaseModel):
    """A reviewer's decision on a call.

    ``edit`` needs ``args``, which replace the model's; ``answer`` needs ``answer``, which becomes the call's result.
    ``run_id`` is needed where two runs wait with the same call id, and for a decision before the call is known.
    ``id`` makes a repeat harmless: the same decision with the same id is one.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"decision": "approve", "by": "ann"},
                {"decision": "deny", "reason": "The customer has paid.", "by": "ann"},
                {"decision": "edit", "args": {"customer": "ACME", "cents": 9900}, "by": "ann"},
            ]
        }
    )

    decision: Verdict
    args: dict[str, JsonValue] | None = None
    answer: str | None = None
    reason: str | None = Field(default=None, max_length=20_000)
    by: By = "api"
    run_id: Id | None = None
    id: str | None = Field(default=None, pattern=_CALL_ID)

    @field_validator("args", "answer")
    @classmethod
    def _not_too_long(cls, given: JsonValue) -> JsonValue:
        _fits(given)
        return given


class DecideCallBody(DecideBody):
    """A reviewer's decision, and the call that it is on."""

    call_id: CallId
