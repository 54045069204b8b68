"""The port of a model provider: a conversation goes in, neutral deltas come out."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal

from workflows.contract.agents import ModelParams, ToolSpec
from workflows.contract.messages import FinishReason, Message, OpaquePart, ReasoningPart, TextPart, ToolCallPart, Usage


@dataclass(frozen=True)
class ModelRequest:
    """What a model is asked.

    ``model`` is the name without its provider; ``messages`` obey the pairing rules: every tool call has one result,
    right after the message that made it. ``run_id``, ``step`` and ``attempt`` say for whom.
    """

    model: str
    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    params: ModelParams
    run_id: str
    step: int
    attempt: int


@dataclass(frozen=True)
class PartStarted:
    """Part ``part`` begins; parts are numbered from 0 in the order in which they begin."""

    part: int
    kind: Literal["text", "reasoning", "tool_call"]
    call_id: str = ""
    name: str = ""


@dataclass(frozen=True)
class PartDelta:
    """More text (or argument text) of a part that has started and is not complete."""

    part: int
    text: str


@dataclass(frozen=True)
class PartCompleted:
    """A whole part. Its text is exactly its deltas joined. An opaque part comes so, without start or deltas."""

    part: int
    value: TextPart | ReasoningPart | ToolCallPart | OpaquePart


@dataclass(frozen=True)
class Completed:
    """The provider's own end of the answer; nothing follows."""

    finish_reason: FinishReason
    usage: Usage


Delta = PartStarted | PartDelta | PartCompleted | Completed


class Provider(ABC):
    """One provider's dialect."""

    @abstractmethod
    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """Ask the model, and yield its answer as it comes, ending with exactly one ``Completed``.

        Closing the generator closes the connection.

        Raises:
            ProviderFailure: There is no answer, or the stream ended without its own terminal event.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections."""
