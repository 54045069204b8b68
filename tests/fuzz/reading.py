"""A body read by a provider as the model activity reads it, and everything that must hold of what comes out."""

import json
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import httpx2
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from typing_extensions import override

from longrun.activities.delta_writer import DeltaWriter
from longrun.activities.failures import ProviderFailure
from longrun.activities.providers.anthropic import Anthropic
from longrun.activities.providers.anthropic_request import anthropic_body
from longrun.activities.providers.openai_chat import OpenAIChat
from longrun.activities.providers.openai_chat_request import chat_body
from longrun.activities.providers.openai_responses import OpenAIResponses
from longrun.activities.providers.openai_responses_request import responses_body
from longrun.activities.providers.provider import (
    Delta,
    LostAnswerError,
    ModelRequest,
    PartDelta,
    PartialAnswer,
    Provider,
    Resumable,
    UnfitAnswerError,
)
from longrun.workflows.contract.agents import ModelParams
from longrun.workflows.contract.attempts import ResumePoint
from longrun.workflows.contract.events import Event
from longrun.workflows.contract.messages import (
    Message,
    OpaquePart,
    ReasoningPart,
    TextPart,
    ToolResultPart,
    Usage,
)
from longrun.workflows.contract.results import Span
from longrun.workflows.deltas import Attempt, text_of
from tests.build import START
from tests.fuzz.mutations import Mutant
from tests.fuzz.streams import Wire

_REQUEST = ModelRequest(
    model="m",
    system="Be brief.",
    messages=(Message(id="u", role="user", parts=(TextPart(text="Hi"),)),),
    tools=(),
    params=ModelParams(),
    run_id="018f6b2e-0000-7000-8000-0123456789ab",
    step=1,
    attempt=1,
)
_MARK = re.compile("\xab\\d+\xbb")
_MOST_DELTAS = 20_000
_LARGEST_COUNT = 2**63


class _Body(httpx2.AsyncByteStream):
    """A body in pieces."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class Host(httpx2.AsyncBaseTransport):
    """Answers every request with the body that was put in last."""

    def __init__(self) -> None:
        self.pieces: Sequence[bytes] = ()

    @override
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream; charset=utf-8"}
        return httpx2.Response(200, headers=headers, stream=_Body(self.pieces))


@dataclass(frozen=True)
class Answered:
    """What a body came to: a message, or a failure."""

    message: Message | None = None
    failure: ProviderFailure | None = None
    usage: Usage = field(default_factory=Usage)
    resume_points: int = 0


class Reading:
    """A provider of one wire, with the real SDK over a host in memory."""

    def __init__(self, wire: Wire) -> None:
        self.wire: Wire = wire
        self._host = Host()
        self._provider = _provider(wire, httpx2.AsyncClient(transport=self._host))
        self._model = f"{wire}/m"

    async def read(self, mutant: Mutant) -> Answered:
        """Read a body and check it.

        Raises:
            AssertionError: What came out breaks a promise.
        """
        self._host.pieces = mutant.pieces
        log = _Log()
        writer = DeltaWriter(Attempt("run", 1, 1, START, "0190-message-id"), log.append)
        deltas: list[Delta] = []
        try:
            async with aclosing(self._provider.stream(_REQUEST)) as stream:
                async for delta in _bounded(stream):
                    deltas.append(delta)
                    writer.put(delta)
        except ProviderFailure as failure:
            await writer.stop()
            _check_failure(failure)
            await self._resume(deltas)
            return Answered(failure=failure, resume_points=sum(isinstance(each, ResumePoint) for each in deltas))
        log.events += await writer.last()
        assert writer.completed, "the stream has no end"
        message = writer.message(self._model)
        _check_usage(writer.completed.usage)
        _check_deltas(deltas, message)
        _check_kept(message)
        if not mutant.repeats:
            _check_said_once(message)
        self._check_sent_back(message)
        return Answered(message, usage=writer.completed.usage)

    async def _resume(self, deltas: Sequence[Delta]) -> None:
        """What broke off goes on after its last resume point, as the same stream from a host that has all of it."""
        points = [(at, delta) for at, delta in enumerate(deltas) if isinstance(delta, ResumePoint)]
        if not points or not isinstance(self._provider, Resumable):
            return
        at, point = points[len(points) // 2]
        partial = PartialAnswer(point, _texts(deltas[:at]))
        try:
            async with aclosing(self._provider.reattach(_REQUEST, partial)) as stream:
                async for _ in _bounded(stream):
                    pass
        except ProviderFailure as failure:
            _check_failure(failure)
        except (UnfitAnswerError, LostAnswerError):
            pass

    def _check_sent_back(self, message: Message) -> None:
        """The next request has the message in it, as JSON that a host takes."""
        results = tuple(ToolResultPart(call_id=call.call_id, name=call.name, content="ok") for call in message.calls)
        follower = Message(id="f", role="tool" if results else "user", parts=results or (TextPart(text="Go on"),))
        request = replace(_REQUEST, messages=(*_REQUEST.messages, message, follower))
        if self.wire == "openai-chat":
            body = chat_body(request, self._model, foreign=True)
        elif self.wire == "openai":
            body = responses_body(request, self._model)
        else:
            body = anthropic_body(request, self._model)
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()

    async def aclose(self) -> None:
        """Close the provider."""
        await self._provider.aclose()


class _Log:
    def __init__(self) -> None:
        self.events: list[Event] = []

    async def append(self, batch: int, events: Sequence[Event], resume_point: ResumePoint | None) -> Span:
        assert batch > 0
        first = len(self.events) + 1
        self.events += events
        if resume_point:
            ResumePoint.model_validate_json(resume_point.model_dump_json())
        for event in events:
            event.model_dump_json().encode()
        return Span(first=first, last=len(self.events))


def _provider(wire: Wire, client: httpx2.AsyncClient) -> Provider:
    base_url = "http://host.invalid/v1"
    if wire == "anthropic":
        own = AsyncAnthropic(api_key="k", base_url=base_url, max_retries=0, http_client=client)
        return Anthropic(own, wire)
    speaker = AsyncOpenAI(api_key="k", base_url=base_url, max_retries=0, http_client=client)
    return OpenAIChat(speaker, wire) if wire == "openai-chat" else OpenAIResponses(speaker, wire, background=True)


async def _bounded(stream: AsyncGenerator[Delta]) -> AsyncGenerator[Delta]:
    seen = 0
    async for delta in stream:
        seen += 1
        assert seen < _MOST_DELTAS, "the stream has no end"
        yield delta


def _check_failure(failure: ProviderFailure) -> None:
    said = str(failure)
    assert said, "a failure without a word"
    assert said.encode(), "no text"
    assert "not what its stream said" not in said, said
    error = failure.to_application_error()
    assert error.next_retry_delay is None or error.next_retry_delay.total_seconds() > 0


def _texts(deltas: Sequence[Delta]) -> dict[int, str]:
    texts: dict[int, str] = {}
    for delta in deltas:
        if isinstance(delta, PartDelta):
            texts[delta.part] = texts.get(delta.part, "") + delta.text
    return texts


def _check_deltas(deltas: Sequence[Delta], message: Message) -> None:
    """The text of each part is its deltas' texts."""
    texts = _texts(deltas)
    for number, part in enumerate(message.parts):
        text = "" if isinstance(part, OpaquePart) else text_of(part)
        assert text == texts.get(number, ""), f"part {number}: {text!r} came as {texts.get(number)!r}"
    ids = [call.call_id for call in message.calls]
    assert len(set(ids)) == len(ids), ids
    assert all(ids), ids


def _check_kept(message: Message) -> None:
    """The message is the same after it was kept as JSON, and no database minds its characters."""
    kept = message.model_dump_json()
    assert Message.model_validate_json(kept) == message
    assert "\\u0000" not in kept.replace("\\\\", "")


def _check_usage(usage: Usage) -> None:
    for name, number in usage.model_dump().items():
        assert number is None or 0 <= number < _LARGEST_COUNT, f"{name} is {number}"


def _check_said_once(message: Message) -> None:
    """No text of the model is said twice to a reader."""
    said = "".join(part.text for part in message.parts if isinstance(part, TextPart | ReasoningPart))
    twice = [mark for mark, times in Counter(_MARK.findall(said)).items() if times > 1]
    assert twice == [], f"said twice: {twice} in {said!r}"
