"""The port of a model provider: a conversation goes in, neutral deltas come out."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Literal

from longrun.workflows.contract.agents import ModelParams, ToolSpec
from longrun.workflows.contract.attempts import ResumePoint
from longrun.workflows.contract.messages import (
    FinishReason,
    Message,
    OpaquePart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    Usage,
)


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


Delta = PartStarted | PartDelta | PartCompleted | Completed | ResumePoint
"""An answer with a resume point has the next one after all deltas of a provider's event, or its end."""


class RefusedResumeError(Exception):
    """The provider does not stream this answer from this resume point (any more)."""


class LostAnswerError(Exception):
    """The provider does not have this answer (any more)."""


class UnfitAnswerError(Exception):
    """The provider's answer does not begin with what was written of it."""


@dataclass(frozen=True)
class PartialAnswer:
    """An answer to go on with: the resume point, and by number the text of each part that was written up to it."""

    resume_point: ResumePoint
    texts: Mapping[int, str]


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


class Resumable(Provider):
    """A provider that goes on with an answer when nobody listens, so that it can be taken up from any process."""

    @abstractmethod
    def reattach(self, request: ModelRequest, begun: PartialAnswer) -> AsyncGenerator[Delta, None]:
        """Go on with the stream of an answer that was begun, as ``stream`` would have.

        What was complete before may be completed again, with the same text.

        Raises:
            RefusedResumeError: The provider does not stream it from there (any more); it may still have the answer.
            LostAnswerError: The provider does not have the answer (any more).
            UnfitAnswerError: What was written of it does not fit.
            ProviderFailure: As from ``stream``.
        """

    @abstractmethod
    def retrieve(self, request: ModelRequest, begun: PartialAnswer) -> AsyncGenerator[Delta, None]:
        """Wait for the whole answer, and yield what was missing of it.

        Raises:
            LostAnswerError: The provider does not have the answer (any more).
            UnfitAnswerError: What was written of it does not fit.
            ProviderFailure: As from ``stream``.
        """

    @abstractmethod
    async def cancel(self, response_id: str) -> None:
        """End an answer that nobody wants any more, so that it is not paid for; nothing happens if it has ended.

        Raises:
            ProviderFailure: The provider could not be told.
        """
