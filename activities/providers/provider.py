"""The port of a model provider: a request goes in, and the answer comes out as deltas of one neutral form."""

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
    """One request for a completion.

    ``model`` is the model's name without its provider. Every tool call in ``messages`` has exactly one result, in the
    message after the one that made it. ``run_id``, ``step`` and ``attempt`` identify the attempt that sends the
    request.
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
    """A part of the message starts. Parts are numbered from 0, in the order in which they start."""

    part: int
    kind: Literal["text", "reasoning", "tool_call"]
    call_id: str = ""
    name: str = ""


@dataclass(slots=True)
class PartDelta:
    """More text of a part, or of a tool call's arguments, between its ``PartStarted`` and its ``PartCompleted``."""

    part: int
    text: str


@dataclass(frozen=True)
class PartCompleted:
    """A part is complete; its text is the concatenation of its deltas.

    An opaque part (what only its provider can read) has neither start nor deltas.
    """

    part: int
    value: TextPart | ReasoningPart | ToolCallPart | OpaquePart


@dataclass(frozen=True)
class Completed:
    """The answer is complete: the last delta of each stream that did not fail."""

    finish_reason: FinishReason
    usage: Usage


Delta = PartStarted | PartDelta | PartCompleted | Completed | ResumePoint
"""One element of the stream of an answer.

An answer that can be resumed has a ``ResumePoint`` after all deltas of each event of the provider, but the last event.
"""


class RefusedResumeError(Exception):
    """The provider does not stream the answer from this resume point; it may still have the whole answer."""


class LostAnswerError(Exception):
    """The provider does not have the answer: it has expired, was cancelled, or never was."""


class UnfitAnswerError(Exception):
    """The provider's answer does not start with the deltas that were written of it."""


@dataclass(frozen=True)
class PartialAnswer:
    """An interrupted answer: its last resume point, and the text of each part up to there, by the part's number."""

    resume_point: ResumePoint
    texts: Mapping[int, str]


class Provider(ABC):
    """The API of one provider."""

    @abstractmethod
    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """Send a request and yield the answer as it is generated, with exactly one ``Completed`` at the end.

        Closing the generator closes the connection.

        Raises:
            ProviderFailure: The provider refused, or the stream broke off before its terminal event.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections."""


class Resumable(Provider):
    """A provider that generates an answer to its end without a connection, so that any process can resume it."""

    @abstractmethod
    def reattach(self, request: ModelRequest, partial: PartialAnswer) -> AsyncGenerator[Delta, None]:
        """Continue the stream of a partial answer after its resume point.

        A part that was complete before the resume point may be completed again, with the same text.

        Raises:
            RefusedResumeError: The provider does not stream the answer from the resume point.
            LostAnswerError: The provider does not have the answer.
            UnfitAnswerError: The answer does not start with the partial answer.
            ProviderFailure: As from ``stream``.
        """

    @abstractmethod
    def retrieve(self, request: ModelRequest, partial: PartialAnswer) -> AsyncGenerator[Delta, None]:
        """Wait for the whole answer, and yield the deltas that the partial answer lacks.

        Raises:
            LostAnswerError: The provider does not have the answer.
            UnfitAnswerError: The answer does not start with the partial answer.
            ProviderFailure: As from ``stream``.
        """

    @abstractmethod
    async def cancel(self, response_id: str) -> Usage:
        """Stop the generation of an answer, so that no more of it is charged. Does nothing if the answer is complete.

        Returns:
            What the provider says that it has cost.

        Raises:
            ProviderFailure: The provider refused, or did not answer.
        """
