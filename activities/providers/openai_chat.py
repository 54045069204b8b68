"""The Chat Completions API: OpenAI's, and that of the many hosts that implement it with differences."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from openai import AsyncOpenAI, AsyncStream
from typing_extensions import override

from longrun.activities.providers.arguments import is_object
from longrun.activities.providers.assembly import Assembly, Kind, made_call_id
from longrun.activities.providers.errors import ended_early, provider_failures
from longrun.activities.providers.openai_chat_request import FIELD, chat_body
from longrun.activities.providers.provider import Completed, Delta, ModelRequest, Provider
from longrun.activities.providers.usage import count
from longrun.runtime.failpoints import reached
from longrun.workflows.contract.messages import FinishReason, Usage

Chunk = Mapping[str, Any]
"""The JSON of a chunk, or of an object in it: the fields of ``ChatCompletionChunk``, and those of other hosts."""

_OFFICIAL = "api.openai.com"
_REASONING_FIELDS = ("reasoning_content", "reasoning")
_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "tool_calls": "stop",
    "function_call": "stop",
    "length": "length",
    "content_filter": "content_filter",
}


class OpenAIChat(Provider):
    """``openai-chat/NAME``."""

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        provider_model = f"openai-chat/{request.model}"
        reader = _Reader(request, provider_model)
        with provider_failures(provider_model):
            body = chat_body(request, provider_model, foreign=self._client.base_url.host != _OFFICIAL)
            # Not chat.completions.create: a pydantic model for each chunk costs more than all else that a token needs.
            stream: AsyncStream[object] = await self._client.post(
                "/chat/completions",
                cast_to=object,
                body={**body, "stream": True},
                stream=True,
                stream_cls=AsyncStream[object],
            )
            reached("model called")
            async with stream:
                async for chunk in stream:
                    for delta in reader.read(cast("Chunk", chunk)):
                        yield delta
            for delta in reader.end():
                yield delta

    @override
    async def aclose(self) -> None:
        await self._client.close()


@dataclass
class _Call:
    """A tool call in the stream. ``key`` identifies its part; ``waiting`` are arguments that came before the name."""

    key: str
    wire_id: str
    name: str = ""
    waiting: str = ""


class _Reader:
    """Reads one completion. Its chunks do not mark the end of a part and, on some hosts, do not identify a call."""

    def __init__(self, request: ModelRequest, provider_model: str) -> None:
        self._request = request
        self._provider_model = provider_model
        self._parts = Assembly(provider_model)
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._prose: tuple[str, int] | None = None
        self._proses = 0
        self._field = ""
        self._finish = ""
        self._usage = Usage()

    def read(self, chunk: Chunk) -> Iterator[Delta]:
        """The deltas of a chunk."""
        if used := chunk.get("usage"):
            self._usage = _usage(used)
        for choice in (chunk.get("choices") or ())[:1]:
            yield from self._read_delta(choice.get("delta") or {})
            self._finish = choice.get("finish_reason") or self._finish

    def end(self) -> Iterator[Delta]:
        """The deltas at the end of the stream.

        Raises:
            ProviderFailure: There was no finish reason: the stream broke off.
        """
        if not self._finish:
            raise ended_early(self._provider_model)
        reason = _REASONS.get(self._finish, "other")
        yield from self._complete_prose()
        for call in self._calls:
            part = self._parts.find(call.key)
            # A call that the token limit has cut is never completed, so that it is not executed.
            if part and (reason != "length" or is_object(part.text)):
                yield from self._parts.complete(call.key)
        yield Completed(self._finish_reason(reason), self._usage)

    def _finish_reason(self, reason: FinishReason) -> FinishReason:
        if self._parts.calls and reason in ("stop", "other"):
            return "tool_calls"
        return "refusal" if self._parts.refused and reason == "stop" else reason

    def _read_delta(self, delta: Chunk) -> Iterator[Delta]:
        for name in _REASONING_FIELDS:
            if thought := delta.get(name):
                self._field = name
                yield from self._say("reasoning", str(thought))
                break
        for kind, text in _pieces(delta.get("content")):
            yield from self._say(kind, text)
        if refusal := delta.get("refusal"):
            yield from self._say("text", refusal, refusal=True)
        for piece in delta.get("tool_calls") or ():
            yield from self._call(piece)

    def _say(self, kind: Kind, text: str, *, refusal: bool = False) -> Iterator[Delta]:
        """More text; it starts a part if it is of another kind than the last text."""
        if not text:
            return
        spoken = "refusal" if refusal else kind
        if self._prose is None or self._prose[0] != spoken:
            yield from self._complete_prose()
            self._proses += 1
            self._prose = (spoken, self._proses)
            yield from self._parts.start(self._prose, kind, refusal=refusal)
        yield from self._parts.append(self._prose, text)

    def _complete_prose(self) -> Iterator[Delta]:
        if self._prose and (part := self._parts.find(self._prose)):
            own = part.kind == "reasoning" and self._field
            yield from self._parts.complete(self._prose, opaque={FIELD: self._field} if own else None)
            self._prose = None

    def _call(self, piece: Chunk) -> Iterator[Delta]:
        function: Chunk = piece.get("function") or {}
        name: str = function.get("name") or ""
        text: str = function.get("arguments") or ""
        call = self._find(piece, name, text)
        call.name = call.name or name
        call.waiting += text
        if call.name:
            yield from self._complete_prose()
            yield from self._parts.start_call(call.key, self._call_id(call), call.name)
            yield from self._parts.append(call.key, call.waiting)
            call.waiting = ""

    def _find(self, piece: Chunk, name: str, text: str) -> _Call:
        """The call that a piece belongs to: by index, unless the host gives all calls the same index."""
        index: int | None = piece.get("index")
        wire_id: str = piece.get("id") or ""
        known = self._by_index.get(index) if index is not None else (self._calls[-1] if self._calls else None)
        if known is None or self._is_another(known, wire_id, name, text):
            known = _Call(f"call {len(self._calls)}", wire_id)
            self._calls.append(known)
            if index is not None:
                self._by_index[index] = known
        return known

    def _is_another(self, known: _Call, wire_id: str, name: str, text: str) -> bool:
        if not name or not known.name:
            return False
        if wire_id and known.wire_id:
            return wire_id != known.wire_id
        part = self._parts.find(known.key)
        return part is not None and bool(text) and is_object(part.text)

    def _call_id(self, call: _Call) -> str:
        return call.wire_id or made_call_id(self._request, self._calls.index(call) + 1)


def _pieces(content: object) -> Iterator[tuple[Kind, str]]:
    """The pieces of text and reasoning in a content, which is a text or a list of pieces, nested on some hosts."""
    if isinstance(content, str):
        yield "text", content
    elif isinstance(content, Sequence):
        for piece in cast("Sequence[dict[str, object]]", content):
            thinking = piece.get("type") == "thinking"
            inner = "".join(text for _, text in _pieces(piece.get("thinking" if thinking else "text")))
            yield "reasoning" if thinking else "text", inner


def _usage(used: object) -> Usage:
    return Usage(
        input_tokens=count(used, "prompt_tokens"),
        output_tokens=count(used, "completion_tokens"),
        cached_input_tokens=count(used, "prompt_tokens_details", "cached_tokens"),
        reasoning_tokens=count(used, "completion_tokens_details", "reasoning_tokens"),
    )
