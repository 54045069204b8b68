"""Answers of the three wires, byte for byte as the providers send them."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SSE = "text/event-stream; charset=utf-8"

Event = Mapping[str, Any]


@dataclass
class Stall:
    """Silence until ``go_on`` is set or the client leaves; ``reached``, then perhaps ``disconnected``, tell of it."""

    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class Cut:
    """The connection is lost here."""


Piece = bytes | Stall | Cut


@dataclass(frozen=True)
class Answer:
    """One HTTP response: its pieces are sent one by one."""

    pieces: Sequence[Piece]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def error(cls, status: int, error: Event, headers: Mapping[str, str] | None = None) -> "Answer":
        """A refusal: both providers wrap the error, and Anthropic names the wrapper's type."""
        body = json.dumps({"type": "error", "error": error}).encode()
        return cls([body], status, {"content-type": "application/json", **(headers or {})})


def named(*events: Event) -> list[bytes]:
    """Events with an ``event:`` line, as Responses and Anthropic send them."""
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def data(*chunks: Event) -> list[bytes]:
    """Events without a name, as Chat Completions sends them."""
    return [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]


DONE = b"data: [DONE]\n\n"


def tokens(text: str) -> list[str]:
    """The text in pieces of a word each."""
    return [piece for piece in text.replace(" ", " \0").split("\0") if piece]


# --- OpenAI Responses


def response(status: str, output: Sequence[Event] = (), **more: object) -> dict[str, Any]:
    """The response object that begins and ends a stream."""
    usage = {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0},
        "output_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 7},
        "total_tokens": 32,
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "model": "gpt-test",
        "output": list(output),
        "usage": usage if status in ("completed", "incomplete") else None,
        "error": None,
        "incomplete_details": None,
        **more,
    }


def message_item(text: str, number: int = 0, **more: object) -> dict[str, Any]:
    """A finished message item."""
    content: list[Event] = [{"type": "output_text", "text": text, "annotations": []}]
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": content,
        **more,
    }


def call_item(call_id: str, name: str, arguments: str, **more: object) -> dict[str, Any]:
    """A finished tool call item."""
    own = {"id": f"fc_{call_id}", "call_id": call_id, "name": name, "arguments": arguments}
    return {"type": "function_call", "status": "completed", **own, **more}


def reasoning_item(*summary: str, encrypted: str | None = "gAAAA-secret") -> dict[str, Any]:
    """A finished reasoning item."""
    parts = [{"type": "summary_text", "text": text} for text in summary]
    return {"id": "rs_1", "type": "reasoning", "summary": parts, "encrypted_content": encrypted}


def item_events(index: int, item: Event) -> list[Event]:
    """How an item comes: added, in pieces, done."""
    return [
        {"type": "response.output_item.added", "output_index": index, "item": _in_progress(item)},
        *_pieces(index, item),
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def _in_progress(item: Event) -> dict[str, Any]:
    empty: dict[str, Event] = {
        "message": {"content": []},
        "reasoning": {"summary": []},
        "function_call": {"arguments": ""},
    }
    return {**item, **empty.get(item["type"], {}), "status": "in_progress"}


def _pieces(index: int, item: Event) -> list[Event]:
    at = {"output_index": index, "item_id": item["id"]}
    if item["type"] == "function_call":
        kind = "response.function_call_arguments.delta"
        return [{"type": kind, **at, "delta": piece} for piece in tokens(item["arguments"])]
    if item["type"] == "reasoning":
        return [
            {"type": "response.reasoning_summary_text.delta", **at, "summary_index": number, "delta": piece}
            for number, part in enumerate(item["summary"])
            for piece in tokens(part["text"])
        ]
    kinds = {"output_text": ("response.output_text.delta", "text"), "refusal": ("response.refusal.delta", "refusal")}
    return [
        {"type": kinds[part["type"]][0], **at, "content_index": number, "delta": piece, "logprobs": []}
        for number, part in enumerate(item.get("content", ()))
        for piece in tokens(part[kinds[part["type"]][1]])
    ]


def responses_stream(*items: Event, end: Event | None = None) -> list[bytes]:
    """A whole stream of the Responses API; ``end`` replaces its terminal event."""
    events: list[Event] = [
        {"type": "response.created", "response": response("in_progress")},
        {"type": "response.in_progress", "response": response("in_progress")},
    ]
    for index, item in enumerate(items):
        events += item_events(index, item)
    events.append(end or {"type": "response.completed", "response": response("completed", items)})
    return named(*({**event, "sequence_number": number} for number, event in enumerate(events)))


# --- Chat Completions


def chunk(delta: Event | None = None, finish: str | None = None, **more: object) -> dict[str, Any]:
    """One chunk."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}


CHAT_USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 6,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def call_piece(index: int, arguments: str, call_id: str | None = None, name: str | None = None) -> dict[str, Any]:
    """A delta with a piece of a call."""
    function = {"arguments": arguments, **({"name": name} if name else {})}
    own = {"id": call_id, "type": "function"} if call_id else {}
    return {"tool_calls": [{"index": index, **own, "function": function}]}


def chat_stream(*deltas: Event, finish: str = "stop") -> list[bytes]:
    """A whole stream of Chat Completions, as OpenAI sends it."""
    first, last = chunk({"role": "assistant", "content": ""}), chunk({}, finish)
    return [*data(first, *(chunk(delta) for delta in deltas), last, chunk(usage=CHAT_USAGE)), DONE]


# --- Anthropic


def block_events(index: int, start: Event, *deltas: Event) -> list[Event]:
    """How a content block comes."""
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text_block(text: str) -> tuple[Event, ...]:
    """A text block: its start and its deltas."""
    return ({"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in tokens(text)))


def thinking_block(text: str, signature: str = "sig-1") -> tuple[Event, ...]:
    """A thinking block with its signature."""
    pieces = ({"type": "thinking_delta", "thinking": piece} for piece in tokens(text))
    start = {"type": "thinking", "thinking": "", "signature": ""}
    return (start, *pieces, {"type": "signature_delta", "signature": signature})


def tool_block(call_id: str, name: str, *pieces: str, kind: str = "tool_use") -> tuple[Event, ...]:
    """A tool call in pieces of its input."""
    start: Event = {"type": kind, "id": call_id, "name": name, "input": {}}
    return (start, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


def message_start() -> Event:
    """The begin of an Anthropic stream."""
    usage = {"input_tokens": 10, "cache_creation_input_tokens": 4, "cache_read_input_tokens": 3, "output_tokens": 1}
    own: Event = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-test", "content": []}
    return {"type": "message_start", "message": {**own, "stop_reason": None, "stop_sequence": None, "usage": usage}}


def message_end(stop_reason: str | None, **more: object) -> list[Event]:
    """The end of an Anthropic stream."""
    delta = {"stop_reason": stop_reason, "stop_sequence": None, **more}
    usage = {"output_tokens": 25, "output_tokens_details": {"thinking_tokens": 9}}
    return [{"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]


def anthropic_stream(*blocks: Sequence[Event], stop_reason: str = "end_turn", **more: object) -> list[bytes]:
    """A whole stream of the Messages API."""
    events: list[Event] = [message_start(), {"type": "ping"}]
    for index, (start, *deltas) in enumerate(blocks):
        events += block_events(index, start, *deltas)
    return named(*events, *message_end(stop_reason, **more))
