"""The parts of an answer, assembled from a provider's events: the deltas of a part are exactly its whole text."""

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import httpx2

from longrun.activities.failures import MismatchFailure, ProviderFailure
from longrun.activities.providers.arguments import same_json
from longrun.activities.providers.errors import of_sdks
from longrun.activities.providers.provider import Delta, ModelRequest, PartCompleted, PartDelta, PartStarted
from longrun.workflows.contract.characters import REPLACEMENT, clean, clean_json, split_half
from longrun.workflows.contract.messages import Opaque, OpaquePart, ReasoningPart, TextPart, ToolCallPart

Kind = Literal["text", "reasoning", "tool_call"]
NO_ARGUMENTS = "{}"
_DRAIN = 0.5


@dataclass
class OpenPart:
    """A part that has started.

    ``refusal`` marks a text in which the model declines. ``complete`` marks a part that was complete before the resume
    point: it is completed once more, because its opaque value was not kept. ``restored`` marks a part of which another
    process has written the beginning. ``half`` is the first half of a surrogate pair whose other half is to come.
    """

    number: int
    kind: Kind | Literal["opaque"]
    call_id: str = ""
    name: str = ""
    refusal: bool = False
    complete: bool = False
    pieces: list[str] = field(default_factory=list[str])
    restored: bool = False
    half: str = ""

    @property
    def text(self) -> str:
        """The deltas so far."""
        return "".join(self.pieces)

    def whole(self, text: str, opaque: Opaque | None) -> TextPart | ReasoningPart | ToolCallPart:
        """The part of the message."""
        if self.kind == "tool_call":
            return ToolCallPart(call_id=self.call_id, name=self.name, arguments=text, opaque=opaque)
        if self.kind == "reasoning":
            return ReasoningPart(text=text, opaque=opaque)
        return TextPart(text=text, refusal=self.refusal, opaque=opaque)


class Assembly:
    """The parts of one answer. The methods yield deltas.

    Args:
        provider_model: The model with its provider, for error messages.
    """

    def __init__(self, provider_model: str) -> None:
        self._provider_model = provider_model
        self._open: dict[Hashable, OpenPart] = {}
        self._all: list[tuple[Hashable, OpenPart]] = []
        self.calls = 0
        self.chars = 0
        self.changes = 0
        self.refused = False

    def find(self, key: Hashable) -> OpenPart | None:
        """The open part with this key."""
        return self._open.get(key)

    def keys(self) -> list[Hashable]:
        """The keys of all open parts, in the order in which they started."""
        return list(self._open)

    def start(self, key: Hashable, kind: Kind, *, refusal: bool = False) -> Iterator[Delta]:
        """Start a text or reasoning part, unless it has started.

        Raises:
            MismatchFailure: A part of another kind has.
        """
        if not self._has(key, kind):
            yield self._start(key, kind, OpenPart(len(self._all), kind, refusal=refusal))
            self.refused = self.refused or refusal

    def start_call(self, key: Hashable, call_id: str, name: str) -> Iterator[Delta]:
        """Start a tool call, unless it has started.

        Raises:
            MismatchFailure: A part of another kind has.
        """
        if not self._has(key, "tool_call"):
            self.calls += 1
            yield self._start(key, "tool_call", OpenPart(len(self._all), "tool_call", clean(call_id), clean(name)))

    def _has(self, key: Hashable, kind: Kind) -> bool:
        part = self._open.get(key)
        if part is not None and part.kind not in (kind, "opaque"):
            raise MismatchFailure(
                f"{self._provider_model}: part {part.number} is a {part.kind} and goes on as a {kind}"
            )
        return part is not None

    @property
    def between_halves(self) -> bool:
        """Whether a part ends with the first half of a surrogate pair."""
        return any(part.half for part in self._open.values())

    def append(self, key: Hashable, text: str) -> Iterator[Delta]:
        """More text of an open part."""
        part = self._open[key]
        text, part.half = split_half(part.half + text)
        if text:
            text = clean(text)
            part.pieces.append(text)
            self.chars += len(text)
            yield PartDelta(part.number, text)

    def complete(self, key: Hashable, final: str | None = None, opaque: Opaque | None = None) -> Iterator[Delta]:
        """Complete an open part. ``final`` is the whole text as the provider gives it; what is missing becomes a delta.

        Where the whole differs from the deltas, the deltas stand: readers have seen them.

        Raises:
            MismatchFailure: The whole of a restored part does not start with the deltas.
        """
        part = self._open[key]
        sent = part.text
        streamed = sent + REPLACEMENT if part.half else sent
        part.half = ""
        whole = streamed if final is None else clean(final)
        if part.kind == "tool_call" and not whole:
            whole = NO_ARGUMENTS
        if not whole.startswith(sent):
            if part.restored and not (part.kind == "tool_call" and same_json(whole, sent)):
                raise MismatchFailure(f"{self._provider_model}: part {part.number} does not start with its deltas")
            whole = streamed
        yield from self.append(key, whole[len(sent) :])
        del self._open[key]
        part.complete = True
        self.changes += 1
        yield PartCompleted(part.number, part.whole(whole, clean_json(opaque)))

    def opaque(self, opaque: Opaque, key: Hashable = None) -> Iterator[Delta]:
        """A part without text, or an open part that gets none.

        Raises:
            MismatchFailure: It has got some.
        """
        part = self._open.pop(key, None)
        if part and part.text:
            raise MismatchFailure(f"{self._provider_model}: part {part.number} is a {part.kind} and ends as none")
        if part is None:
            part = OpenPart(len(self._all), "opaque", complete=True)
            self._all.append((key, part))
            self.changes += 1
        yield PartCompleted(part.number, OpaquePart(opaque=clean_json(opaque)))

    def _start(self, key: Hashable, kind: Kind, part: OpenPart) -> PartStarted:
        self._open[key] = part
        self._all.append((key, part))
        self.changes += 1
        return PartStarted(part.number, kind, part.call_id, part.name)

    def dump(self) -> list[list[object]]:
        """All parts so far without their texts, as JSON values, for ``restore``."""
        return [[key, part.kind, part.call_id, part.name, part.refusal, part.complete] for key, part in self._all]

    def restore(self, key: Hashable, part: OpenPart) -> Iterator[Delta]:
        """Restore the next part from the dump of another process."""
        part.restored = True
        self._open[key] = part
        self._all.append((key, part))
        self.chars += len(part.text)
        self.changes += 1
        self.calls += part.kind == "tool_call"
        self.refused = self.refused or part.refusal
        if part.kind != "opaque":
            yield PartStarted(part.number, part.kind, part.call_id, part.name)


def made_call_id(request: ModelRequest, number: int) -> str:
    """The id of the ``number``-th call of a step (from 1) that has none from its provider: unique in the thread."""
    return f"call_{request.run_id.replace('-', '')[-12:]}_{request.step}_{number}"


async def drain(stream: AsyncIterator[object]) -> None:
    """Read what follows a terminal event, so that the connection can be used again; its content is ignored."""
    ignored = (TimeoutError, ProviderFailure, httpx2.RequestError, *of_sdks("APIError"))
    with suppress(*ignored):
        async with asyncio.timeout(_DRAIN):
            async for _ in stream:
                pass
