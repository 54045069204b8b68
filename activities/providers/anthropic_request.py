"""A conversation as the messages of Anthropic's API: roles alternate, results come first, thinking stays in place."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

from longrun.activities.providers.arguments import argument_object
from longrun.activities.providers.provider import ModelRequest
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
"""``max_tokens`` where the agent does not say: the API insists on one, and this is what every current model allows."""
_THINKING = ("thinking", "redacted_thinking")
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]")
_EFFORTS = {"minimal": "low"}
_UNSAID = "(no text)"


def anthropic_body(request: ModelRequest, asked: str) -> dict[str, Any]:
    """The arguments of ``messages.create``, which has no temperature any more.

    Args:
        request: What is asked.
        asked: The model with its provider: opaque parts of other models are left out.
    """
    params = request.params
    messages = _messages(request.messages, asked)
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": params.max_output_tokens or LONGEST_ANSWER,
        "messages": messages,
        **_tools(request),
    }
    told = [m.text for m in request.messages if m.role == "system"]
    if system := "\n\n".join(text for text in (request.system, *told) if text.strip()):
        body["system"] = system
    if params.reasoning_effort == "none":
        body["thinking"] = {"type": "disabled"}
    elif params.reasoning_effort is not None:
        body["thinking"] = {"type": "adaptive", "display": "summarized"}
        body["output_config"] = {"effort": _EFFORTS.get(params.reasoning_effort, params.reasoning_effort)}
    return body


def _tools(request: ModelRequest) -> dict[str, Any]:
    """The tools; where calls occur that were made with tools that are gone, their names, not to be called."""
    if not request.tools:
        names = dict.fromkeys(call.name for message in request.messages for call in message.calls)
        gone = [{"name": name, "input_schema": {"type": "object"}} for name in names]
        return {"tools": gone, "tool_choice": {"type": "none"}} if gone else {}
    tools = [{"name": t.name, "description": t.description, "input_schema": t.parameters} for t in request.tools]
    if request.params.parallel_tool_calls:
        return {"tools": tools}
    return {"tools": tools, "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}


def _messages(messages: Sequence[Message], asked: str) -> list[Block]:
    turns: list[Block] = []
    for message in messages:
        blocks = list(_blocks(message, own=message.provider == asked))
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
        turns.insert(0, {"role": "user", "content": [{"type": "text", "text": _UNSAID}]})
    return turns


def _acceptable(blocks: list[Block], *, last: bool) -> list[Block]:
    """Without what a cancelled answer may leave: thinking that led to nothing, a provider's own call without result."""
    answered = {block.get("tool_use_id") for block in blocks if block["type"].endswith("_tool_result")}
    kept = [b for b in blocks if last or b["type"] != "server_tool_use" or b["id"] in answered]
    while kept and kept[-1]["type"] in _THINKING:
        kept.pop()
    return kept


def _blocks(message: Message, *, own: bool) -> Iterator[Block]:
    if message.role == "system":
        return
    for part in message.parts:
        if isinstance(part, ToolResultPart):
            yield _result(part)
        elif isinstance(part, TextPart):
            yield from _text(part, own=own)
        elif isinstance(part, ToolCallPart) and not part.cut:
            arguments = argument_object(part.arguments)
            yield {"type": "tool_use", "id": _id(part.call_id), "name": part.name, "input": arguments}
        elif own:
            yield from _opaque(part)


def _text(part: TextPart, *, own: bool) -> Iterator[Block]:
    if part.text.strip():
        citations = part.opaque if own and part.opaque else {}
        yield {"type": "text", "text": part.text, **citations}


def _result(part: ToolResultPart) -> Block:
    result: Block = {"type": "tool_result", "tool_use_id": _id(part.call_id), "content": part.content}
    return result if part.status == "ok" else {**result, "is_error": True}


def _opaque(part: Part) -> Iterator[Block]:
    """Thinking and a provider's own tools, as they came; thinking without its signature is refused."""
    if isinstance(part, OpaquePart):
        yield cast("Block", dict(part.opaque))
    elif isinstance(part, ReasoningPart) and part.opaque and not part.cut:
        yield {"type": "thinking", "thinking": part.text, **part.opaque}


def _id(call_id: str) -> str:
    """The id in the alphabet that the API accepts: an answer of another host may have used a wider one."""
    return _NOT_IN_IDS.sub("_", call_id)
