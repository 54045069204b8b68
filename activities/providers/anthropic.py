"""Anthropic's Messages API."""

import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import override

from longrun.activities.failures import ProviderFailure
from longrun.activities.providers.anthropic_request import anthropic_body
from longrun.activities.providers.arguments import is_object
from longrun.activities.providers.assembly import Assembly, drain, made_call_id
from longrun.activities.providers.errors import ended_early, provider_failures
from longrun.activities.providers.fields import Object, json_text, list_of, name, number, object_of, text
from longrun.activities.providers.provider import Completed, Delta, ModelRequest, Provider
from longrun.activities.providers.usage import count
from longrun.activities.providers.wire import Chunk, chunks
from longrun.workflows.contract.messages import FinishReason, Opaque, Usage

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "refusal": "refusal",
    "pause_turn": "pause",
    "model_context_window_exceeded": "overflow",
}
_BLOCK = object_of(type=name, id=name, tool_use_id=name, name=name, text=text, thinking=text, signature=name)
_EVENT = object_of(
    type=name,
    index=number,
    message=object_of(),
    content_block=_BLOCK,
    content=list_of(_BLOCK),
    stop_reason=name,
    delta=object_of(
        type=name,
        text=text,
        thinking=text,
        signature=name,
        partial_json=json_text,
        citation=object_of(),
        stop_reason=name,
        stop_details=object_of(explanation=text),
    ),
)
"""The fields of the events of a stream, and those of a whole ``Message``."""
_COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class Anthropic(Provider):
    """``anthropic/NAME``, and hosts that a settings file names.

    Args:
        client: Anthropic's SDK, with the host and the key.
        provider: What stands before the models' names.
        extra_body: More fields of each request.
    """

    def __init__(
        self, client: "AsyncAnthropic", provider: str = "anthropic", extra_body: Mapping[str, object] | None = None
    ) -> None:
        self._client = client
        self._provider = provider
        self._extra_body = extra_body or {}

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        provider_model = f"{self._provider}/{request.model}"
        reader = _Reader(request, provider_model)
        with provider_failures(provider_model):
            body = anthropic_body(request, provider_model)
            create = self._client.messages.with_streaming_response.create
            async with (
                create(**body, stream=True, extra_body=self._extra_body) as response,
                aclosing(chunks(response.http_response, provider_model, _EVENT)) as found,
            ):
                async for chunk in found:
                    for delta in reader.read(chunk):
                        yield delta
                    if reader.completed:
                        await drain(found)
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

    def __init__(self, request: ModelRequest, provider_model: str) -> None:
        self._request = request
        self.completed: Completed | None = None
        self._provider_model = provider_model
        self._parts = Assembly(provider_model)
        self._blocks: dict[int, _Block] = {}
        self._doubtful: int | None = None
        self._reason: FinishReason | None = None
        self._counts: dict[str, int] = {}
        self._thinking_tokens: int | None = None
        self._events: dict[str, Callable[[Object], Iterator[Delta]]] = {
            "message_start": self._message_start,
            "content_block_start": self._block_start,
            "content_block_delta": self._block_delta,
            "content_block_stop": self._block_stop,
            "message_delta": self._message_delta,
            "message_stop": self._message_stop,
            "message": self._message,
        }
        self._pieces: dict[str, Callable[[int, Object], Iterator[Delta]]] = {
            "text_delta": lambda index, piece: self._say(index, piece.get("text", "")),
            "thinking_delta": lambda index, piece: self._think(index, piece.get("thinking", "")),
            "signature_delta": self._sign,
            "input_json_delta": self._input,
            "citations_delta": self._cite,
        }

    def read(self, chunk: Chunk) -> Iterator[Delta]:
        """The deltas of an event; none for one of an unknown type."""
        handler = self._events.get(chunk.value.get("type") or chunk.event)
        return iter(()) if handler is None else handler(chunk.value)

    def _message_start(self, event: Object) -> Iterator[Delta]:
        self._count(event.get("message", {}).get("usage"))
        return iter(())

    def _message(self, whole: Object) -> Iterator[Delta]:
        """The whole message of a host that does not stream."""
        for index, block in enumerate(whole.get("content", ())):
            yield from self._block_start({"index": index, "content_block": block})
            yield from self._block_stop({"index": index})
        yield from self._message_delta(
            {"delta": {"stop_reason": whole.get("stop_reason")}, "usage": whole.get("usage")}
        )
        yield from self._message_stop({})

    def _block_start(self, event: Object) -> Iterator[Delta]:
        yield from self._settle()
        index, block = _index(event), event.get("content_block", {})
        if not block.get("type"):
            raise ProviderFailure("invalid", f"{self._provider_model}: block {index} has no type")
        self._blocks[index] = _Block(block, block.get("signature", ""))
        if block.get("type") == "tool_use":
            call_id = block.get("id") or made_call_id(self._request, self._parts.calls + 1)
            yield from self._parts.start_call(index, call_id, block.get("name", ""))
        elif block.get("type") == "text":
            yield from self._say(index, block.get("text", ""))
        elif block.get("type") == "thinking":
            yield from self._think(index, block.get("thinking", ""))

    def _block_delta(self, event: Object) -> Iterator[Delta]:
        piece = event.get("delta", {})
        handler = self._pieces.get(piece.get("type", ""))
        return iter(()) if handler is None else handler(_index(event), piece)

    def _say(self, index: int, said: str) -> Iterator[Delta]:
        if said:
            yield from self._parts.start(index, "text")
            yield from self._parts.append(index, said)

    def _think(self, index: int, thought: str) -> Iterator[Delta]:
        if thought:
            yield from self._parts.start(index, "reasoning")
            yield from self._parts.append(index, thought)

    def _sign(self, index: int, piece: Object) -> Iterator[Delta]:
        self._block(index).signature += piece.get("signature", "")
        return iter(())

    def _input(self, index: int, piece: Object) -> Iterator[Delta]:
        self._block(index).inputs.append(piece.get("partial_json", ""))
        return self._parts.append(index, piece.get("partial_json", "")) if self._parts.find(index) else iter(())

    def _cite(self, index: int, piece: Object) -> Iterator[Delta]:
        self._block(index).citations.append(piece.get("citation", {}))
        return iter(())

    def _block(self, index: int) -> _Block:
        if (block := self._blocks.get(index)) is None:
            raise ProviderFailure("invalid", f"{self._provider_model}: block {index} has a delta and no start")
        return block

    def _block_stop(self, event: Object) -> Iterator[Delta]:
        index = _index(event)
        block = self._block(index)
        del self._blocks[index]
        kind = block.content.get("type")
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
            raise ProviderFailure(
                "invalid", f"{self._provider_model}: the input of a {block.content.get('type')} is cut"
            )
        return cast("Opaque", {**block.content, "input": json.loads(text)})

    def _message_delta(self, event: Object) -> Iterator[Delta]:
        self._count(event.get("usage"))
        delta = event.get("delta", {})
        if reason := delta.get("stop_reason"):
            self._reason = _REASONS.get(reason, "other")
            yield from self._close()
        explanation = delta.get("stop_details", {}).get("explanation")
        if self._reason == "refusal" and explanation:
            yield from self._parts.start("refusal", "text", refusal=True)
            yield from self._parts.append("refusal", explanation)
            yield from self._parts.complete("refusal")

    def _close(self) -> Iterator[Delta]:
        """Complete the blocks that the host has not closed, and a doubtful call if no token limit can have cut it."""
        for index in list(self._blocks):
            yield from self._block_stop({"index": index})
        if self._reason in ("tool_calls", "stop"):
            yield from self._settle()

    def _message_stop(self, _: Object) -> Iterator[Delta]:
        if self._reason is None:
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


def _index(event: Object) -> int:
    """The index of an event's block; hosts that send one block leave it out."""
    return event.get("index") or 0
