"""A conversation as the messages of Anthropic's API: roles alternate, and tool results come first in a message."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

from longrun.activities.providers.arguments import argument_object
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

Block = dict[str, Any]

LONGEST_ANSWER = 32_000
"""``max_tokens`` for an agent without a limit: the API requires one, and every current model allows this one."""
_THINKING = ("thinking", "redacted_thinking")
_LONGEST_ID = 64
_EFFORTS = {"minimal": "low"}
_NO_TEXT = "(no text)"


def anthropic_body(request: ModelRequest, provider_model: str) -> dict[str, Any]:
    """The arguments of ``messages.create``, which has no temperature any more.

    Args:
        request: The request.
        provider_model: The model with its provider, as in ``provider/name``; opaque parts of other models are omitted.
    """
    params = request.params
    messages = _messages(request.messages, provider_model)
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": params.max_output_tokens or LONGEST_ANSWER,
        "messages": messages,
        **_tools(request),
    }
    others = [m.text for m in request.messages if m.role == "system"]
    if system := "\n\n".join(text for text in (request.system, *others) if text.strip()):
        body["system"] = system
    if params.reasoning_effort == "none":
        body["thinking"] = {"type": "disabled"}
    elif params.reasoning_effort is not None:
        body["thinking"] = {"type": "adaptive", "display": "summarized"}
        body["output_config"] = {"effort": _EFFORTS.get(params.reasoning_effort, params.reasoning_effort)}
    return body


def _tools(request: ModelRequest) -> dict[str, Any]:
    """The tools. Without any, those that were called before, not to be called again: the API requires them."""
    if not request.tools:
        names = dict.fromkeys(tool_name(call.name) for message in request.messages for call in message.calls)
        called = [{"name": name, "input_schema": {"type": "object"}} for name in names]
        return {"tools": called, "tool_choice": {"type": "none"}} if called else {}
    tools = [{"name": t.name, "description": t.description, "input_schema": t.parameters} for t in request.tools]
    if request.params.parallel_tool_calls:
        return {"tools": tools}
    return {"tools": tools, "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}


def _messages(messages: Sequence[Message], provider_model: str) -> list[Block]:
    turns: list[Block] = []
    ids = CallIds(messages, provider_model, longest=_LONGEST_ID, safe=True)
    for message in messages:
        blocks = list(_blocks(message, ids, own=message.provider == provider_model))
        role = "assistant" if message.role == "assistant" else "user"
        if blocks and turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        if turn["role"] == "assistant":
            turn["content"] = _acceptable(turn["content"], last=turn is turns[-1])
    turns = [turn for turn in turns if turn["content"]]
    if not turns or turns[0]["role"] != "user":
        turns.insert(0, {"role": "user", "content": [{"type": "text", "text": _NO_TEXT}]})
    return turns


def _acceptable(blocks: list[Block], *, last: bool) -> list[Block]:
    """The blocks that the API accepts: no reasoning at the end, and no call of its own tools without a result."""
    answered = {block.get("tool_use_id") for block in blocks if block["type"].endswith("_tool_result")}
    kept = [b for b in blocks if last or b["type"] != "server_tool_use" or b.get("id") in answered]
    while kept and kept[-1]["type"] in _THINKING:
        kept.pop()
    return kept


def _blocks(message: Message, ids: CallIds, *, own: bool) -> Iterator[Block]:
    if message.role == "system":
        return
    for part in message.parts:
        if isinstance(part, ToolResultPart):
            yield _result(part, ids)
        elif isinstance(part, TextPart):
            yield from _text(part, own=own)
        elif isinstance(part, ToolCallPart) and not part.cut:
            arguments = argument_object(part.arguments)
            yield {"type": "tool_use", "id": ids[part.call_id], "name": tool_name(part.name), "input": arguments}
        elif own:
            yield from _opaque(part)


def _text(part: TextPart, *, own: bool) -> Iterator[Block]:
    if part.text.strip():
        citations = part.opaque if own and part.opaque else {}
        yield {"type": "text", "text": part.text, **citations}


def _result(part: ToolResultPart, ids: CallIds) -> Block:
    result: Block = {"type": "tool_result", "tool_use_id": ids[part.call_id], "content": part.content}
    return result if part.status == "ok" else {**result, "is_error": True}


def _opaque(part: Part) -> Iterator[Block]:
    """Reasoning and calls of the provider's own tools, unchanged; reasoning without its signature is refused."""
    if isinstance(part, OpaquePart):
        yield cast("Block", dict(part.opaque))
    elif isinstance(part, ReasoningPart) and part.opaque and not part.cut:
        yield {"type": "thinking", "thinking": part.text, **part.opaque}
