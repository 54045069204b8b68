"""A conversation as the input of OpenAI's Responses API: all messages are sent with each request.

Nothing is stored at OpenAI except, in background mode, the answer.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from longrun.activities.providers.arguments import argument_text
from longrun.activities.providers.provider import ModelRequest
from longrun.activities.providers.wire_names import CallIds, tool_name
from longrun.workflows.contract.messages import (
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

Item = dict[str, Any]

ENCRYPTED = "reasoning.encrypted_content"
_LONGEST_ID = 64
_WITHOUT_REASONING = ("gpt-3", "gpt-4", "chatgpt-4", "ft:gpt-3", "ft:gpt-4")


def responses_body(request: ModelRequest, provider_model: str, *, background: bool = False) -> dict[str, Any]:
    """The arguments of ``responses.create``.

    Args:
        request: The request.
        provider_model: The model with its provider, as in ``provider/name``; opaque parts of other models are omitted.
        background: Whether the answer is generated in background mode.
    """
    params = request.params
    ids = CallIds(request.messages, provider_model, longest=_LONGEST_ID)
    body: dict[str, Any] = {
        "model": request.model,
        "input": [item for message in request.messages for item in _items(message, provider_model, ids)],
        "store": background,
        "stream_options": {"include_obfuscation": False},
    }
    if background:
        body["background"] = True
    # Models that cannot reason refuse a request that asks for encrypted reasoning.
    if not request.model.startswith(_WITHOUT_REASONING):
        body["include"] = [ENCRYPTED]
    if request.system:
        body["instructions"] = request.system
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "name": t.name,
                "description": t.description,
                "parameters": t.parameters,
                "strict": False,
            }
            for t in request.tools
        ]
        body["parallel_tool_calls"] = params.parallel_tool_calls
    if params.temperature is not None:
        body["temperature"] = params.temperature
    if params.max_output_tokens is not None:
        body["max_output_tokens"] = params.max_output_tokens
    if params.reasoning_effort is not None:
        shown = {} if params.reasoning_effort == "none" else {"summary": "auto"}
        body["reasoning"] = {"effort": params.reasoning_effort, **shown}
    return body


def _items(message: Message, provider_model: str, ids: CallIds) -> Iterator[Item]:
    if message.role == "tool":
        results = (part for part in message.parts if isinstance(part, ToolResultPart))
        yield from ({"type": "function_call_output", "call_id": ids[r.call_id], "output": r.content} for r in results)
    elif message.role != "assistant":
        yield {"role": message.role, "content": message.text}
    elif message.provider == provider_model and _replayable(message.parts):
        yield from _replayed(message.parts, ids)
    else:
        yield from _plain(message.parts, ids)


def _replayable(parts: Sequence[Part]) -> bool:
    """Whether items can be sent with their ids: an item without the reasoning before it is refused."""
    whole = [part for part in parts if isinstance(part, ReasoningPart) and not part.cut]
    return all(part.opaque and part.opaque.get("encrypted_content") for part in whole)


def _plain(parts: Sequence[Part], ids: CallIds) -> Iterator[Item]:
    """Another model's message: its text and its calls, without its reasoning."""
    for part in parts:
        if isinstance(part, TextPart) and part.text:
            yield {"role": "assistant", "content": part.text}
        elif isinstance(part, ToolCallPart) and not part.cut:
            yield _call(part, ids)


def _replayed(parts: Sequence[Part], ids: CallIds) -> Iterator[Item]:
    """The model's own items, unchanged. Reasoning without a complete item after it is omitted: alone it is refused."""
    reasoning: list[Item] = []
    items: list[Item] = []
    for part in parts:
        if (thought := _reasoning(part)) is not None:
            reasoning.append(thought)
            continue
        item = _replay(part, items[-1] if items and not reasoning else None, ids)
        if item is not None:
            items += [*reasoning, item] if _whole(part) else [item]
        if item is not None or not _whole(part):
            reasoning = []
    yield from items


def _whole(part: Part) -> bool:
    return not getattr(part, "cut", False)


def _reasoning(part: Part) -> Item | None:
    if isinstance(part, ReasoningPart | OpaquePart) and part.opaque and part.opaque.get("type") == "reasoning":
        return {**part.opaque, "summary": part.opaque.get("summary") or []}  # some hosts send none, and ask for it
    return None


def _replay(part: Part, before: Item | None, ids: CallIds) -> Item | None:
    """The item of a part, ``None`` where it has none or has joined the item before it."""
    if isinstance(part, OpaquePart):
        return dict(part.opaque)
    if isinstance(part, ToolCallPart):
        own = {"id": part.opaque["id"]} if part.opaque and part.opaque.get("id") else {}
        return None if part.cut else {**_call(part, ids), **own}
    return _text(part, before) if isinstance(part, TextPart) and part.text else None


def _text(part: TextPart, before: Item | None) -> Item | None:
    if not part.opaque or not part.opaque.get("id"):
        return {"role": "assistant", "content": part.text}
    text: Item = {"type": "output_text", "text": part.text, "annotations": []}
    content: Item = {"type": "refusal", "refusal": part.text} if part.refusal else text
    if before is not None and before.get("type") == "message" and before.get("id") == part.opaque["id"]:
        before["content"].append(content)
        return None
    return {"type": "message", "role": "assistant", "status": "completed", **part.opaque, "content": [content]}


def _call(part: ToolCallPart, ids: CallIds) -> Item:
    text = argument_text(part.arguments)
    return {"type": "function_call", "call_id": ids[part.call_id], "name": tool_name(part.name), "arguments": text}
