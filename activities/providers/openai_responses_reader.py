"""The events of one answer of OpenAI's Responses API, read as neutral deltas."""

import json
from collections.abc import Callable, Iterator
from typing import Any, cast

from openai.types import responses as wire

from longrun.activities.providers.assembly import Assembly, OpenPart, made_call_id
from longrun.activities.providers.errors import reported
from longrun.activities.providers.provider import Completed, Delta, ModelRequest, PartialAnswer, UnfitAnswerError
from longrun.activities.providers.usage import count
from longrun.workflows.contract.attempts import ResumePoint
from longrun.workflows.contract.messages import FinishReason, Opaque, Usage

_BETWEEN = "\n\n"
_INCOMPLETE: dict[str | None, FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}


class Reader:
    """Reads one response. Parts are keyed by output index and, within a message, content index.

    Args:
        request: The request.
        provider_model: The model with its provider, for error messages.
    """

    def __init__(self, request: ModelRequest, provider_model: str) -> None:
        self.completed: Completed | None = None
        self.provider_model = provider_model
        self._request = request
        self._response_id = ""
        self._parts = Assembly(provider_model)
        self._complete_items: set[int] = set()
        self._sections: dict[int, dict[tuple[str, int], None]] = {}
        self._dumped = (-1, "")
        self._handlers: dict[str, Callable[[Any], Iterator[Delta]]] = {
            "response.created": self._created,
            "response.output_item.added": self._added,
            "response.output_text.delta": self._text,
            "response.refusal.delta": self._refusal,
            "response.reasoning_summary_text.delta": self._summary,
            "response.reasoning_text.delta": self._thought,
            "response.function_call_arguments.delta": self._arguments,
            "response.output_item.done": self._item_done,
            "response.completed": self._end,
            "response.incomplete": self._end,
            "response.failed": self._failed,
            "error": self._error,
        }

    def read(self, event: wire.ResponseStreamEvent) -> Iterator[Delta]:
        """The deltas of an event; none for one of an unknown type."""
        handler = self._handlers.get(event.type)
        return iter(()) if handler is None else handler(event)

    def resume_point(self, cursor: int) -> ResumePoint:
        """The resume point after an event all of whose deltas have been read."""
        changes = self._parts.changes + sum(map(len, self._sections.values()))
        if changes != self._dumped[0]:
            sections = [[index, list(known)] for index, known in self._sections.items()]
            self._dumped = (changes, json.dumps([self._parts.dump(), sections], separators=(",", ":")))
        state = f"{self._parts.chars} {self._dumped[1]}"
        return ResumePoint(response_id=self._response_id, cursor=cursor, state=state)

    def restore(self, partial: PartialAnswer) -> Iterator[Delta]:
        """Restore the state at a resume point.

        Raises:
            UnfitAnswerError: The texts are not those up to the resume point.
        """
        self._response_id = partial.resume_point.response_id
        chars, _, dumped = partial.resume_point.state.partition(" ")
        if not dumped:
            return
        if sum(map(len, partial.texts.values())) != int(chars):
            raise UnfitAnswerError(f"{self._response_id}: the text up to the resume point is not complete")
        parts, sections = json.loads(dumped)
        self._sections = {index: dict.fromkeys(map(tuple, known)) for index, known in sections}
        for number, (key, kind, call_id, name, refusal, done) in enumerate(parts):
            part = OpenPart(number, kind, call_id, name, refusal, done, [partial.texts.get(number, "")])
            yield from self._parts.restore(None if key is None else tuple(key), part)

    def _created(self, event: wire.ResponseCreatedEvent) -> Iterator[Delta]:
        self._response_id = event.response.id
        return iter(())

    def _added(self, event: wire.ResponseOutputItemAddedEvent) -> Iterator[Delta]:
        if event.item.type == "function_call":
            yield from self._start_call(event.output_index, event.item)

    def _start_call(self, index: int, item: wire.ResponseFunctionToolCall) -> Iterator[Delta]:
        call_id = item.call_id or made_call_id(self._request, self._parts.calls + 1)
        return self._parts.start_call((index, 0), call_id, item.name)

    def _text(self, event: wire.ResponseTextDeltaEvent) -> Iterator[Delta]:
        key = (event.output_index, event.content_index)
        yield from self._parts.start(key, "text")
        yield from self._parts.append(key, event.delta)

    def _refusal(self, event: wire.ResponseRefusalDeltaEvent) -> Iterator[Delta]:
        key = (event.output_index, event.content_index)
        yield from self._parts.start(key, "text", refusal=True)
        yield from self._parts.append(key, event.delta)

    def _summary(self, event: wire.ResponseReasoningSummaryTextDeltaEvent) -> Iterator[Delta]:
        return self._reasoning(event.output_index, ("summary", event.summary_index), event.delta)

    def _thought(self, event: wire.ResponseReasoningTextDeltaEvent) -> Iterator[Delta]:
        return self._reasoning(event.output_index, ("content", event.content_index), event.delta)

    def _reasoning(self, index: int, section: tuple[str, int], text: str) -> Iterator[Delta]:
        """More of a reasoning item, whose sections become one part with blank lines between them."""
        sections = self._sections.setdefault(index, {})
        yield from self._parts.start((index, 0), "reasoning")
        yield from self._parts.append((index, 0), _BETWEEN if sections and section not in sections else "")
        sections[section] = None
        yield from self._parts.append((index, 0), text)

    def _arguments(self, event: wire.ResponseFunctionCallArgumentsDeltaEvent) -> Iterator[Delta]:
        key = (event.output_index, 0)
        if self._parts.find(key):
            yield from self._parts.append(key, event.delta)

    def _item_done(self, event: wire.ResponseOutputItemDoneEvent) -> Iterator[Delta]:
        return self._complete(event.output_index, event.item)

    def _complete(self, index: int, item: wire.ResponseOutputItem) -> Iterator[Delta]:
        """Complete the parts of an item, whose own text counts rather than its deltas."""
        self._complete_items.add(index)
        if item.type == "message":
            yield from self._complete_message(index, item)
        elif item.type == "reasoning":
            yield from self._complete_reasoning(index, item)
        elif item.type == "function_call":
            yield from self._start_call(index, item)
            # A call that the token limit has cut is never completed, so that it is not executed.
            if item.status != "incomplete":
                own: Opaque | None = {"id": item.id} if item.id else None
                yield from self._parts.complete((index, 0), item.arguments or None, own)
        else:
            yield from self._parts.opaque(cast("Opaque", item.to_dict(mode="json")), (index, 0))

    def _complete_message(self, index: int, item: wire.ResponseOutputMessage) -> Iterator[Delta]:
        own = {"id": item.id, "phase": item.phase} if item.phase else {"id": item.id}
        for number, content in enumerate(item.content):
            key = (index, number)
            if content.type == "refusal":
                yield from self._parts.start(key, "text", refusal=True)
                yield from self._parts.complete(key, content.refusal or None, {**own})
            elif content.text or self._parts.find(key):
                yield from self._parts.start(key, "text")
                yield from self._parts.complete(key, content.text or None, {**own})

    def _complete_reasoning(self, index: int, item: wire.ResponseReasoningItem) -> Iterator[Delta]:
        texts = {("summary", number): part.text for number, part in enumerate(item.summary or ())}
        texts |= {("content", number): part.text for number, part in enumerate(item.content or ())}
        order = {**dict.fromkeys(self._sections.get(index, {})), **dict.fromkeys(texts)}
        whole = _BETWEEN.join(texts.get(section, "") for section in order) if texts else None
        opaque = cast("Opaque", item.to_dict(mode="json")) if item.encrypted_content else None
        started = self._parts.find((index, 0))
        if whole or (started and started.kind == "reasoning"):
            yield from self._parts.start((index, 0), "reasoning")
            yield from self._parts.complete((index, 0), whole, opaque)
        elif opaque:
            yield from self._parts.opaque(opaque, (index, 0))

    def _end(self, event: wire.ResponseCompletedEvent | wire.ResponseIncompleteEvent) -> Iterator[Delta]:
        return self.take(event.response)

    def take(self, response: wire.Response) -> Iterator[Delta]:
        """The deltas that are still missing of the whole answer; sets ``completed``."""
        for index, item in enumerate(response.output or ()):
            if index not in self._complete_items:
                yield from self._complete(index, item)
        for key in self._parts.keys():  # noqa: SIM118 - not a dict
            part = self._parts.find(key)
            if part and (part.complete or part.kind != "tool_call"):
                yield from self._parts.complete(key)
        self.completed = Completed(self._finish_reason(response), _usage(response))

    def _finish_reason(self, response: wire.Response) -> FinishReason:
        if response.status == "incomplete":
            details = response.incomplete_details
            return _INCOMPLETE.get(details.reason if details else None, "other")
        if self._parts.calls:
            return "tool_calls"
        return "refusal" if self._parts.refused else "stop"

    def _failed(self, event: wire.ResponseFailedEvent) -> Iterator[Delta]:
        error = event.response.error
        raise reported(self.provider_model, error.code if error else None, error.message if error else None)

    def _error(self, event: wire.ResponseErrorEvent) -> Iterator[Delta]:
        raise reported(self.provider_model, event.code, event.message)


def _usage(response: wire.Response) -> Usage:
    used = response.usage
    return Usage(
        input_tokens=count(used, "input_tokens"),
        output_tokens=count(used, "output_tokens"),
        cached_input_tokens=count(used, "input_tokens_details", "cached_tokens"),
        cache_write_tokens=count(used, "input_tokens_details", "cache_write_tokens"),
        reasoning_tokens=count(used, "output_tokens_details", "reasoning_tokens"),
    )
