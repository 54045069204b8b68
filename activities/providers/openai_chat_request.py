"""A conversation as the messages of Chat Completions."""

from collections.abc import Iterator
from typing import Any

from longrun.activities.providers.arguments import argument_text
from longrun.activities.providers.provider import ModelRequest
from longrun.workflows.contract.messages import Message, ReasoningPart, ToolCallPart, ToolResultPart

FIELD = "field"
"""A key of a reasoning part's opaque value: the field of the host's message in which the reasoning stood."""


def chat_body(request: ModelRequest, provider_model: str, *, foreign: bool) -> dict[str, Any]:
    """The body of a request to ``/chat/completions``.

    Args:
        request: The request.
        provider_model: The model with its provider, as in ``provider/name``; opaque parts of other models are omitted.
        foreign: The host is not OpenAI's, so the older name of the output limit is used.
    """
    params = request.params
    system = [{"role": "system", "content": request.system}] if request.system else []
    messages = [item for message in request.messages for item in _messages(message, provider_model)]
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


def _messages(message: Message, provider_model: str) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        results = (part for part in message.parts if isinstance(part, ToolResultPart))
        yield from ({"role": "tool", "tool_call_id": r.call_id, "content": r.content} for r in results)
    elif message.role != "assistant":
        yield {"role": message.role, "content": message.text}
    elif message.calls:
        yield {
            "role": "assistant",
            "content": message.text or None,
            "tool_calls": [_call(call) for call in message.calls],
            **(_reasoning(message) if message.provider == provider_model else {}),
        }
    elif message.text:
        yield {"role": "assistant", "content": message.text}


def _call(part: ToolCallPart) -> dict[str, Any]:
    function = {"name": part.name, "arguments": argument_text(part.arguments)}
    return {"id": part.call_id, "type": "function", "function": function}


def _reasoning(message: Message) -> dict[str, str]:
    """The reasoning before calls, by field: some hosts require it in this message, and none accepts it in others."""
    fields: dict[str, str] = {}
    for part in message.parts:
        if isinstance(part, ReasoningPart) and part.opaque and isinstance(name := part.opaque.get(FIELD), str):
            fields[name] = fields.get(name, "") + part.text
    return fields
