"""The Chat Completions API: OpenAI's, and that of the many hosts that implement it with differences."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from pydantic import JsonValue
from typing_extensions import override

from longrun.activities.providers.arguments import is_object
from longrun.activities.providers.assembly import Assembly, Kind, made_call_id
from longrun.activities.providers.errors import ended_early, provider_failures, reported
from longrun.activities.providers.fields import Object, json_text, list_of, name, number, object_of, text
from longrun.activities.providers.openai_chat_request import EXTRA, FIELD, chat_body
from longrun.activities.providers.provider import Completed, Delta, ModelRequest, Provider
from longrun.activities.providers.usage import count
from longrun.activities.providers.wire import Chunk, chunks
from longrun.runtime.failpoints import reached
from longrun.workflows.contract.messages import FinishReason, Opaque, Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_OFFICIAL = "api.openai.com"
_REASONING_FIELDS = ("reasoning_content", "reasoning")
_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "tool_calls": "stop",
    "function_call": "stop",
    "length": "length",
    "content_filter": "content_filter",
}
_DETAILS = "reasoning_details"
_CALL_FIELDS = frozenset({"index", "id", "type", "function"})
_DELTA = object_of(
    reasoning_details=list_of(object_of()),
    reasoning_content=text,
    reasoning=text,
    refusal=text,
    tool_calls=list_of(
        object_of(index=number, id=name, function=object_of(name=name, arguments=json_text)),
    ),
)
_CHUNK = object_of(choices=list_of(object_of(delta=_DELTA, message=_DELTA, finish_reason=name)))
"""The fields of ``ChatCompletionChunk`` and of ``ChatCompletion``, and those of other hosts."""


class OpenAIChat(Provider):
    """``openai-chat/NAME``, and hosts that a settings file names.

    Args:
        client: OpenAI's SDK, with the host and the key.
        provider: What stands before the models' names.
        extra_body: More fields of each request.
    """

    def __init__(
        self, client: "AsyncOpenAI", provider: str = "openai-chat", extra_body: Mapping[str, object] | None = None
    ) -> None:
        self._client = client
        self._provider = provider
        self._extra_body = extra_body or {}

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        provider_model = f"{self._provider}/{request.model}"
        reader = _Reader(request, provider_model)
        with provider_failures(provider_model):
            foreign = self._client.base_url.host != _OFFICIAL
            body = {**chat_body(request, provider_model, foreign=foreign), **self._extra_body}
            create = self._client.chat.completions.with_streaming_response.create
            async with create(model=request.model, messages=[], stream=True, extra_body=body) as response:
                reached("model called")
                async with aclosing(chunks(response.http_response, provider_model, _CHUNK)) as found:
                    async for chunk in found:
                        for delta in reader.read(chunk):
                            yield delta
            for delta in reader.end():
                yield delta

    @override
    async def aclose(self) -> None:
        await self._client.close()


@dataclass
class _Call:
    """A tool call in the stream. ``key`` identifies its part; ``waiting`` are arguments that came before the name.

    Its part starts with its arguments: until then the name may come in pieces.
    """

    key: str
    wire_id: str
    name: str = ""
    waiting: str = ""
    extra: Opaque = field(default_factory=dict[str, JsonValue])


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
        self._done = False
        self._details: list[JsonValue] = []
        self._usage = Usage()

    def read(self, chunk: Chunk) -> Iterator[Delta]:
        """The deltas of a chunk.

        Raises:
            ProviderFailure: The host reported an error.
        """
        self._done = self._done or chunk.done
        if used := chunk.value.get("usage"):
            self._usage = _usage(used)
        for choice in chunk.value.get("choices", ())[:1]:
            if error := choice.get("error"):
                raise reported(self._provider_model, error)
            yield from self._read_delta(choice.get("delta") or choice.get("message") or {})
            self._finish = choice.get("finish_reason") or self._finish

    def end(self) -> Iterator[Delta]:
        """The deltas at the end of the stream.

        Raises:
            ProviderFailure: There was neither a finish reason nor, after something whole, ``[DONE]``: it broke off.
        """
        if not self._finish and not (self._done and self._whole()):
            raise ended_early(self._provider_model)
        reason = _REASONS.get(self._finish, "other") if self._finish else "stop"
        yield from self._complete_prose()
        for call in self._calls:
            if call.name and not self._parts.find(call.key):
                yield from self._start(call)
            part = self._parts.find(call.key)
            # A call that the token limit has cut is never completed, so that it is not executed.
            if part and (reason != "length" or is_object(part.text)):
                yield from self._parts.complete(call.key, opaque={EXTRA: call.extra} if call.extra else None)
        if self._details:
            yield from self._parts.opaque({EXTRA: {_DETAILS: self._details}})
        yield Completed(self._finish_reason(reason), self._usage)

    def _whole(self) -> bool:
        """Whether there is something, and no call of it is cut."""
        parts = [self._parts.find(call.key) for call in self._calls]
        return self._parts.chars > 0 and all(part and is_object(part.text) for part in parts)

    def _finish_reason(self, reason: FinishReason) -> FinishReason:
        if self._parts.calls and reason in ("stop", "other"):
            return "tool_calls"
        return "refusal" if self._parts.refused and reason == "stop" else reason

    def _read_delta(self, delta: Object) -> Iterator[Delta]:
        for own in _REASONING_FIELDS:
            if thought := delta.get(own):
                self._field = own
                yield from self._say("reasoning", thought)
                break
        self._details += delta.get(_DETAILS, ())
        for kind, said in _pieces(delta.get("content")):
            yield from self._say(kind, said)
        if refusal := delta.get("refusal"):
            yield from self._say("text", refusal, refusal=True)
        for piece in delta.get("tool_calls", ()):
            yield from self._call(piece)

    def _say(self, kind: Kind, said: str, *, refusal: bool = False) -> Iterator[Delta]:
        """More text; it starts a part if it is of another kind than the last text."""
        if not said:
            return
        spoken = "refusal" if refusal else kind
        if self._prose is None or self._prose[0] != spoken:
            yield from self._complete_prose()
            self._proses += 1
            self._prose = (spoken, self._proses)
            yield from self._parts.start(self._prose, kind, refusal=refusal)
        yield from self._parts.append(self._prose, said)

    def _complete_prose(self) -> Iterator[Delta]:
        if self._prose and (part := self._parts.find(self._prose)):
            own = part.kind == "reasoning" and self._field
            yield from self._parts.complete(self._prose, opaque={FIELD: self._field} if own else None)
            self._prose = None

    def _call(self, piece: Object) -> Iterator[Delta]:
        function: Object = piece.get("function", {})
        called: str = function.get("name", "")
        arguments: str = function.get("arguments", "")
        call = self._find(piece, called, arguments)
        if not self._parts.find(call.key) and called != call.name:
            call.name = called if called.startswith(call.name) else call.name + called
        call.waiting += arguments
        call.extra |= {key: value for key, value in piece.items() if key not in _CALL_FIELDS}
        if call.name and call.waiting:
            yield from self._start(call)

    def _start(self, call: _Call) -> Iterator[Delta]:
        """Start a call, unless it has started; then what waits of its arguments."""
        yield from self._complete_prose()
        yield from self._parts.start_call(call.key, self._call_id(call), call.name)
        yield from self._parts.append(call.key, call.waiting)
        call.waiting = ""

    def _find(self, piece: Object, called: str, arguments: str) -> _Call:
        """The call that a piece belongs to: by index, unless the host gives all calls the same index."""
        index: int | None = piece.get("index")
        wire_id: str = piece.get("id", "")
        known = self._by_index.get(index) if index is not None else (self._calls[-1] if self._calls else None)
        if known is None or self._is_another(known, index, wire_id, called, arguments):
            known = _Call(f"call {len(self._calls)}", wire_id)
            self._calls.append(known)
            if index is not None:
                self._by_index[index] = known
        return known

    def _is_another(self, known: _Call, index: int | None, wire_id: str, called: str, arguments: str) -> bool:
        if not called or not known.name:
            return False
        if wire_id and known.wire_id:
            return wire_id != known.wire_id
        part = self._parts.find(known.key)
        if part is None:  # the rest of a name, or a call without arguments: only an index can tell
            return index is None
        return bool(arguments) and is_object(part.text)

    def _call_id(self, call: _Call) -> str:
        return call.wire_id or made_call_id(self._request, self._calls.index(call) + 1)


def _pieces(content: object) -> Iterator[tuple[Kind, str]]:
    """The pieces of text and reasoning in a content, which is a text or a list of pieces, nested on some hosts."""
    pieces = cast("list[object]", content) if isinstance(content, list) else [content]
    for piece in pieces:
        fields = cast("Object", piece) if isinstance(piece, dict) else {}
        if fields.get("type") == "thinking":
            yield "reasoning", text(fields.get("thinking"), "thinking")
        else:
            yield "text", text(piece, "content")


def _usage(used: object) -> Usage:
    return Usage(
        input_tokens=count(used, "prompt_tokens"),
        output_tokens=count(used, "completion_tokens"),
        cached_input_tokens=count(used, "prompt_tokens_details", "cached_tokens"),
        reasoning_tokens=count(used, "completion_tokens_details", "reasoning_tokens"),
    )
