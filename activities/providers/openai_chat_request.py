"""A conversation as the messages of Chat Completions."""

from collections.abc import Iterator
from typing import Any, cast

from longrun.activities.providers.arguments import argument_text
from longrun.activities.providers.provider import ModelRequest
from longrun.activities.providers.wire_names import CallIds, tool_name
from longrun.workflows.contract.messages import Message, OpaquePart, ReasoningPart, ToolCallPart, ToolResultPart

FIELD = "field"
"""A key of a reasoning part's opaque value: the field of the host's message in which the reasoning stood."""
EXTRA = "extra"
"""A key of a call's or a message's opaque value: the fields that only their host reads, such as signatures."""
_LONGEST_ID = 40


def chat_body(request: ModelRequest, provider_model: str, *, foreign: bool) -> dict[str, Any]:
    """The body of a request to ``/chat/completions``.

    Args:
        request: The request.
        provider_model: The model with its provider, as in ``provider/name``; opaque parts of other models are omitted.
        foreign: The host is not OpenAI's, so the older name of the output limit is used.
    """
    params = request.params
    system = [{"role": "system", "content": request.system}] if request.system else []
    ids = CallIds(request.messages, provider_model, longest=_LONGEST_ID)
    messages = [item for message in request.messages for item in _messages(message, provider_model, ids)]
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [*system, *messages],
        "stream_options": {"include_usage": True},
    }
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in request.tools
        ]
        # The default is omitted, because hosts that do not know the field refuse it.
        if not params.parallel_tool_calls:
            body["parallel_tool_calls"] = False
    if params.temperature is not None:
        body["temperature"] = params.temperature
    if params.max_output_tokens is not None:
        body["max_tokens" if foreign else "max_completion_tokens"] = params.max_output_tokens
    if params.reasoning_effort is not None:
        body["reasoning_effort"] = params.reasoning_effort
    return body


def _messages(message: Message, provider_model: str, ids: CallIds) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        results = (part for part in message.parts if isinstance(part, ToolResultPart))
        yield from ({"role": "tool", "tool_call_id": ids[r.call_id], "content": r.content} for r in results)
    elif message.role != "assistant":
        yield {"role": message.role, "content": message.text}
    elif message.calls or message.text:
        own = message.provider == provider_model
        yield {
            "role": "assistant",
            "content": message.text or None,
            **({"tool_calls": [_call(call, ids, own=own) for call in message.calls]} if message.calls else {}),
            **(_reasoning(message) if own and message.calls else {}),
            **(_extra(message) if own else {}),
        }


def _call(part: ToolCallPart, ids: CallIds, *, own: bool) -> dict[str, Any]:
    function = {"name": tool_name(part.name), "arguments": argument_text(part.arguments)}
    extra = cast("dict[str, Any]", (part.opaque or {}).get(EXTRA, {})) if own else {}
    return {**extra, "id": ids[part.call_id], "type": "function", "function": function}


def _reasoning(message: Message) -> dict[str, str]:
    """The reasoning before calls, by field: some hosts require it in this message, and none accepts it in others."""
    fields: dict[str, str] = {}
    for part in message.parts:
        if isinstance(part, ReasoningPart) and part.opaque and isinstance(name := part.opaque.get(FIELD), str):
            fields[name] = fields.get(name, "") + part.text
    return fields


def _extra(message: Message) -> dict[str, Any]:
    """The fields of the host's message that we do not read."""
    found = (part.opaque.get(EXTRA) for part in message.parts if isinstance(part, OpaquePart))
    return {key: value for extra in found if isinstance(extra, dict) for key, value in extra.items()}
