"""Anthropic's Messages API."""

import json
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from anthropic import AsyncAnthropic, types
from typing_extensions import override

from longrun.activities.failures import ProviderFailure
from longrun.activities.providers.anthropic_request import anthropic_body
from longrun.activities.providers.arguments import is_object
from longrun.activities.providers.assembly import Assembly, drain
from longrun.activities.providers.errors import ended_early, provider_failures
from longrun.activities.providers.provider import Completed, Delta, ModelRequest, Provider
from longrun.activities.providers.usage import count
from longrun.workflows.contract.messages import FinishReason, Opaque, Usage

_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "refusal": "refusal",
    "pause_turn": "pause",
    "model_context_window_exceeded": "overflow",
}
_COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class Anthropic(Provider):
    """``anthropic/NAME``."""

    def __init__(self, client: AsyncAnthropic) -> None:
        self._client = client

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        provider_model = f"anthropic/{request.model}"
        reader = _Reader(provider_model)
        with provider_failures(provider_model):
            body = anthropic_body(request, provider_model)
            stream = await self._client.messages.create(**body, stream=True)
            async with stream:
                async for event in stream:
                    for delta in reader.read(event):
                        yield delta
                    if reader.completed:
                        await drain(stream)
                        yield reader.completed
                        return
        raise ended_early(provider_model)

    @override
    async def aclose(self) -> None:
        await self._client.close()


@dataclass
class _Block:
    """A content block that has started. ``content`` is the block of its start event."""

    content: dict[str, Any]
    signature: str = ""
    inputs: list[str] = field(default_factory=list[str])
    citations: list[dict[str, object]] = field(default_factory=list[dict[str, object]])


class _Reader:
    """Reads one message. Parts are keyed by the index of their content block."""

    def __init__(self, provider_model: str) -> None:
        self.completed: Completed | None = None
        self._provider_model = provider_model
        self._parts = Assembly(provider_model)
        self._blocks: dict[int, _Block] = {}
        self._doubtful: int | None = None
        self._reason: FinishReason | None = None
        self._counts: dict[str, int] = {}
        self._thinking_tokens: int | None = None
        self._events: dict[str, Callable[[Any], Iterator[Delta]]] = {
            "message_start": self._message_start,
            "content_block_start": self._block_start,
            "content_block_delta": self._block_delta,
            "content_block_stop": self._block_stop,
            "message_delta": self._message_delta,
            "message_stop": self._message_stop,
        }
        self._pieces: dict[str, Callable[[int, Any], Iterator[Delta]]] = {
            "text_delta": lambda index, piece: self._say(index, piece.text),
            "thinking_delta": lambda index, piece: self._think(index, piece.thinking),
            "signature_delta": self._sign,
            "input_json_delta": self._input,
            "citations_delta": self._cite,
        }

    def read(self, event: types.RawMessageStreamEvent) -> Iterator[Delta]:
        """The deltas of an event; none for one of an unknown type."""
        handler = self._events.get(event.type)
        return iter(()) if handler is None else handler(event)

    def _message_start(self, event: types.RawMessageStartEvent) -> Iterator[Delta]:
        self._count(event.message.usage)
        return iter(())

    def _block_start(self, event: types.RawContentBlockStartEvent) -> Iterator[Delta]:
        yield from self._settle()
        block = event.content_block
        self._blocks[event.index] = _Block(block.to_dict(mode="json"), getattr(block, "signature", None) or "")
        if block.type == "tool_use":
            yield from self._parts.start_call(event.index, block.id, block.name)
        elif block.type == "text":
            yield from self._say(event.index, block.text)
        elif block.type == "thinking":
            yield from self._think(event.index, block.thinking)

    def _block_delta(self, event: types.RawContentBlockDeltaEvent) -> Iterator[Delta]:
        handler = self._pieces.get(event.delta.type)
        return iter(()) if handler is None else handler(event.index, event.delta)

    def _say(self, index: int, text: str) -> Iterator[Delta]:
        if text:
            yield from self._parts.start(index, "text")
            yield from self._parts.append(index, text)

    def _think(self, index: int, text: str) -> Iterator[Delta]:
        if text:
            yield from self._parts.start(index, "reasoning")
            yield from self._parts.append(index, text)

    def _sign(self, index: int, piece: types.SignatureDelta) -> Iterator[Delta]:
        self._block(index).signature = piece.signature
        return iter(())

    def _input(self, index: int, piece: types.InputJSONDelta) -> Iterator[Delta]:
        self._block(index).inputs.append(piece.partial_json)
        return self._parts.append(index, piece.partial_json) if self._parts.find(index) else iter(())

    def _cite(self, index: int, piece: types.CitationsDelta) -> Iterator[Delta]:
        self._block(index).citations.append(piece.citation.to_dict(mode="json"))
        return iter(())

    def _block(self, index: int) -> _Block:
        if (block := self._blocks.get(index)) is None:
            raise ProviderFailure("invalid", f"{self._provider_model}: block {index} has a delta and no start")
        return block

    def _block_stop(self, event: types.RawContentBlockStopEvent) -> Iterator[Delta]:
        index, block = event.index, self._block(event.index)
        del self._blocks[index]
        kind = block.content["type"]
        if kind == "text":
            yield from self._complete(index, {"citations": block.citations} if block.citations else {})
        elif kind == "thinking":
            yield from self._complete_thinking(index, block.signature)
        elif kind == "tool_use":
            yield from self._complete_call(index, block)
        else:
            yield from self._parts.opaque(self._whole(block))

    def _complete(self, index: int, opaque: dict[str, Any]) -> Iterator[Delta]:
        return self._parts.complete(index, opaque=opaque or None) if self._parts.find(index) else iter(())

    def _complete_thinking(self, index: int, signature: str) -> Iterator[Delta]:
        own: Opaque = {"signature": signature} if signature else {}
        if self._parts.find(index):
            yield from self._complete(index, own)
        elif own:
            yield from self._parts.opaque({"type": "thinking", "thinking": "", **own})

    def _complete_call(self, index: int, block: _Block) -> Iterator[Delta]:
        if block.content.get("input") and not "".join(block.inputs):
            yield from self._parts.append(index, json.dumps(block.content["input"]))
        if is_object("".join(block.inputs)) or block.content.get("input"):
            yield from self._parts.complete(index)
        else:
            self._doubtful = index

    def _settle(self) -> Iterator[Delta]:
        """Complete a call whose arguments are no JSON object: what follows it shows that no token limit has cut it."""
        if self._doubtful is not None:
            yield from self._parts.complete(self._doubtful)
            self._doubtful = None

    def _whole(self, block: _Block) -> Opaque:
        """A block that is kept unchanged, with the input that was streamed."""
        if not (text := "".join(block.inputs)):
            return cast("Opaque", block.content)
        if not is_object(text):
            raise ProviderFailure("invalid", f"{self._provider_model}: the input of a {block.content['type']} is cut")
        return cast("Opaque", {**block.content, "input": json.loads(text)})

    def _message_delta(self, event: types.RawMessageDeltaEvent) -> Iterator[Delta]:
        self._count(event.usage)
        if event.delta.stop_reason:
            self._reason = _REASONS.get(event.delta.stop_reason, "other")
            if self._reason in ("tool_calls", "stop"):
                yield from self._settle()
        details = event.delta.stop_details
        if self._reason == "refusal" and details and details.explanation:
            yield from self._parts.start("refusal", "text", refusal=True)
            yield from self._parts.append("refusal", details.explanation)
            yield from self._parts.complete("refusal")

    def _message_stop(self, _: types.RawMessageStopEvent) -> Iterator[Delta]:
        if self._reason is None or self._blocks:
            raise ended_early(self._provider_model)
        self.completed = Completed(self._reason, self._usage())
        return iter(())

    def _count(self, usage: object) -> None:
        """Add cumulative counts; a count that is not given is kept."""
        given = {name: count(usage, name) for name in _COUNTS}
        self._counts |= {name: number for name, number in given.items() if number is not None}
        thought = count(usage, "output_tokens_details", "thinking_tokens")
        self._thinking_tokens = self._thinking_tokens if thought is None else thought

    def _usage(self) -> Usage:
        inputs = [self._counts[name] for name in _COUNTS if name in self._counts and name != "output_tokens"]
        return Usage(
            input_tokens=sum(inputs) if inputs else None,
            output_tokens=self._counts.get("output_tokens"),
            cached_input_tokens=self._counts.get("cache_read_input_tokens"),
            cache_write_tokens=self._counts.get("cache_creation_input_tokens"),
            reasoning_tokens=self._thinking_tokens,
        )
