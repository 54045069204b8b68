"""A conversation as a provider must get it: every tool call has exactly one result, right after its message."""

from collections.abc import Iterable, Sequence

from longrun.workflows.contract.messages import Message, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart

LOST = "This call has no result: the run ended before it was made."


def _sendable(message: Message) -> Message:
    """Without what a cancel cut in the middle: providers refuse half a call, and half a thought has no signature.

    Nor do they take an empty text.
    """
    kept = tuple(part for part in message.parts if not _unsendable(part))
    return message.model_copy(update={"parts": kept})


def _unsendable(part: Part) -> bool:
    if isinstance(part, TextPart):
        return not part.text and part.opaque is None
    return isinstance(part, ToolCallPart | ReasoningPart) and part.cut


def results_of(messages: Iterable[Message]) -> dict[str, ToolResultPart]:
    """The first result of each call."""
    found: dict[str, ToolResultPart] = {}
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolResultPart):
                found.setdefault(part.call_id, part)
    return found


def paired(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation with each call answered once, in the order of the calls, before anything else is said.

    Results without a call are left out, repeated ones too, and a call without a result gets one that says so. Messages
    that have nothing to say are left out.
    """
    results = results_of(messages)
    conversation: list[Message] = []
    for message in map(_sendable, messages):
        if message.role == "tool" or not message.parts:
            continue
        conversation.append(message)
        answers = tuple(
            results.get(call.call_id)
            or ToolResultPart(call_id=call.call_id, name=call.name, content=LOST, status="cancelled")
            for call in message.calls
        )
        if answers:
            conversation.append(Message(id=f"{message.id}:results", role="tool", parts=answers))
    return tuple(conversation)
