"""A conversation as a provider must get it: every tool call has exactly one result, right after its message."""

from collections.abc import Iterable, Mapping, Sequence

from longrun.workflows.contract.messages import Message, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart

NO_RESULT = "This call has no result: the run ended before it was made."


def _sendable(message: Message, results: Mapping[str, ToolResultPart]) -> Message:
    """The message as providers take it, and its calls as they were run.

    Without a call or a reasoning that a cancellation cut off (half a reasoning has no signature), and an empty text; a
    call that was answered because a limit had cut it stays.
    """
    kept = (
        _as_run(part, results.get(part.call_id)) if isinstance(part, ToolCallPart) else part for part in message.parts
    )
    return message.model_copy(update={"parts": tuple(part for part in kept if not _unsendable(part))})


def _as_run(call: ToolCallPart, result: ToolResultPart | None) -> ToolCallPart:
    """A call with the arguments that a reviewer had it run with: the model must not take it for its own mistake."""
    if result is None:
        return call
    arguments = call.arguments if result.arguments is None else result.arguments
    return call.model_copy(update={"arguments": arguments, "cut": False})


def _unsendable(part: Part) -> bool:
    if isinstance(part, TextPart):
        return not part.text and part.opaque is None
    return isinstance(part, ToolCallPart | ReasoningPart) and part.cut


def _results_by_call(messages: Iterable[Message]) -> dict[str, ToolResultPart]:
    """The first result of each call."""
    found: dict[str, ToolResultPart] = {}
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolResultPart):
                found.setdefault(part.call_id, part)
    return found


def paired(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation with the results of each message's calls right after it, one a call, in the order of the calls.

    A call without a result gets one that says so. Results without a call, repeated results and messages without a part
    are left out.
    """
    results = _results_by_call(messages)
    conversation: list[Message] = []
    for message in (_sendable(message, results) for message in messages):
        if message.role == "tool" or not message.parts:
            continue
        conversation.append(message)
        answers = tuple(
            results.get(call.call_id)
            or ToolResultPart(call_id=call.call_id, name=call.name, content=NO_RESULT, status="cancelled")
            for call in message.calls
        )
        if answers:
            conversation.append(Message(id=f"{message.id}:results", role="tool", parts=answers))
    return tuple(conversation)
