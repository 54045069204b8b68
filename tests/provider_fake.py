"""A model that says what a test tells it to, piece by piece: at a gate it waits until the test opens it."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue
from typing_extensions import override

from longrun.activities.providers.provider import (
    Completed,
    Delta,
    ModelRequest,
    PartCompleted,
    PartDelta,
    PartStarted,
    Provider,
)
from longrun.workflows.contract.messages import FinishReason, OpaquePart, ReasoningPart, TextPart, ToolCallPart, Usage

USAGE = Usage(input_tokens=10, output_tokens=5)


class Flag:
    """An event between a test and what it tests, whose tools run on another thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Let it have happened."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether it has."""
        return self._event.is_set()

    def blocking(self, seconds: float) -> bool:
        """Block this thread until it has; whether it has by then."""
        return self._event.wait(seconds)

    async def wait(self) -> None:
        """Wait until it has."""
        while not self._event.is_set():  # noqa: ASYNC110 - no event of asyncio reaches another thread's loop
            await asyncio.sleep(0.002)


class Gate:
    """A place in a stream, or in a tool, where somebody waits."""

    def __init__(self) -> None:
        self.reached = Flag()
        self._opened = Flag()

    async def passed(self) -> None:
        """Arrive, and go on when the gate is open."""
        self.reached.set()
        await self._opened.wait()

    def open(self) -> None:
        """Let everybody through, now and later."""
        self._opened.set()


Piece = str | Gate | Exception


@dataclass(frozen=True)
class Speech:
    """A part that comes in pieces; a gate holds the stream up, an exception ends it."""

    head: TextPart | ReasoningPart | ToolCallPart
    pieces: tuple[Piece, ...]

    @property
    def whole(self) -> TextPart | ReasoningPart | ToolCallPart:
        """The part when all has come."""
        name = "arguments" if isinstance(self.head, ToolCallPart) else "text"
        text = "".join(piece for piece in self.pieces if isinstance(piece, str))
        return self.head.model_copy(update={name: text})


Item = Speech | OpaquePart | Gate | Exception


@dataclass(frozen=True)
class Turn:
    """What a model answers to one request. Without ``ends`` the stream breaks off without its terminal event."""

    items: tuple[Item, ...]
    finish: FinishReason | None = None
    ends: bool = True
    usage: Usage = field(default=USAGE)

    @property
    def finish_reason(self) -> FinishReason:
        """The reason that was given, else the one that fits."""
        calls = any(isinstance(item, Speech) and isinstance(item.head, ToolCallPart) for item in self.items)
        return self.finish or ("tool_calls" if calls else "stop")


def text(*pieces: Piece) -> Speech:
    """A text part."""
    return Speech(TextPart(text=""), pieces)


def reasoning(*pieces: Piece) -> Speech:
    """A reasoning part."""
    return Speech(ReasoningPart(text=""), pieces)


def call(call_id: str, name: str, arguments: dict[str, JsonValue] | str | None = None) -> Speech:
    """A tool call, its arguments in two pieces; a text is sent as it is."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    half = len(written) // 2
    return Speech(ToolCallPart(call_id=call_id, name=name, arguments=""), (written[:half], written[half:]))


def turn(*items: Item | str, finish: FinishReason | None = None) -> Turn:
    """An answer; a plain string is a text part that comes word by word."""
    return Turn(tuple(tokens(item) if isinstance(item, str) else item for item in items), finish)


def tokens(sentence: str) -> Speech:
    """A text part that comes word by word."""
    first, *others = sentence.split(" ")
    return text(first, *(f" {other}" for other in others))


def in_turn(*turns: Turn) -> Callable[[ModelRequest], Turn]:
    """The first turn for step 1, the second for step 2, and so on; the last one for all that follow."""
    return lambda request: turns[min(request.step, len(turns)) - 1]


class FakeProvider(Provider):
    """Answers each request with the turn that a function of the test finds for it, and remembers the request."""

    def __init__(self, script: Callable[[ModelRequest], Turn]) -> None:
        self._script = script
        self.requests: list[ModelRequest] = []
        self.closed = 0

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        self.requests.append(request)
        said = self._script(request)
        number = 0
        for item in said.items:
            if isinstance(item, Gate | Exception):
                await _pass(item)
            elif isinstance(item, OpaquePart):
                yield PartCompleted(number, item)
                number += 1
            else:
                async for delta in _spoken(number, item):
                    yield delta
                number += 1
        if said.ends:
            yield Completed(said.finish_reason, said.usage)

    @override
    async def aclose(self) -> None:
        self.closed += 1


class FakeCatalog:
    """Every model is the one provider."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    async def load(self, model: str) -> tuple[Provider, str]:
        """The provider, and the model's name without its first part."""
        return self.provider, model.partition("/")[2]

    async def aclose(self) -> None:
        """Close the provider."""
        await self.provider.aclose()


async def _pass(obstacle: Gate | Exception) -> None:
    if isinstance(obstacle, Exception):
        raise obstacle.with_traceback(None)
    await obstacle.passed()


async def _spoken(number: int, speech: Speech) -> AsyncGenerator[Delta, None]:
    head = speech.head
    if isinstance(head, ToolCallPart):
        yield PartStarted(number, "tool_call", head.call_id, head.name)
    else:
        yield PartStarted(number, head.type)
    for piece in speech.pieces:
        if isinstance(piece, str):
            yield PartDelta(number, piece)
        else:
            await _pass(piece)
    yield PartCompleted(number, speech.whole)


def requested(provider: FakeProvider) -> Sequence[tuple[int, int]]:
    """Step and attempt of each request."""
    return [(request.step, request.attempt) for request in provider.requests]
