"""The events of one answer of OpenAI's Responses API, read as neutral deltas."""

import json
from collections.abc import Callable, Collection, Iterator
from typing import cast

from longrun.activities.providers.assembly import Assembly, Kind, OpenPart, made_call_id
from longrun.activities.providers.errors import reported
from longrun.activities.providers.fields import Object, json_text, list_of, name, number, object_of, optional, text
from longrun.activities.providers.provider import Completed, Delta, ModelRequest, PartialAnswer, UnfitAnswerError
from longrun.activities.providers.usage import count
from longrun.activities.providers.wire import Chunk
from longrun.workflows.contract.attempts import ResumePoint
from longrun.workflows.contract.characters import clean
from longrun.workflows.contract.messages import FinishReason, Opaque, Usage

_BETWEEN = "\n\n"
_LONGEST_ID = 1000
_KINDS: dict[str, Kind] = {"message": "text", "reasoning": "reasoning", "function_call": "tool_call"}
_SAID = ("output_text", "text", "refusal")  # beside one of these, a content of no such type is none
_INCOMPLETE: dict[str | None, FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}

_CONTENT = object_of(type=name, text=text, refusal=text)
_ITEM = object_of(
    type=name,
    id=name,
    call_id=name,
    name=name,
    arguments=json_text,
    status=name,
    content=optional(list_of(_CONTENT)),
    summary=optional(list_of(_CONTENT)),
)
RESPONSE = object_of(
    id=name, object=name, status=name, output=list_of(_ITEM), incomplete_details=object_of(reason=name)
)
"""The fields of a ``Response``."""
EVENT = object_of(
    type=name,
    object=name,
    sequence_number=number,
    output_index=number,
    content_index=number,
    summary_index=number,
    item_id=name,
    delta=text,
    item=_ITEM,
    response=RESPONSE,
    id=name,
    status=name,
    output=list_of(_ITEM),
    incomplete_details=object_of(reason=name),
)
"""The fields of the events of a stream, and those of a whole ``Response``."""


class Reader:
    """Reads one response. Parts are keyed by item and, within a message, content index.

    An item is numbered by its output index. Where two items of different ids have the same one, it lies, and the second
    gets a number of its own; but an item that was announced keeps its number if its id changes on the way.

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
        self._items: dict[str, int] = {}
        self._complete_items: set[int] = set()
        self._announced: set[int] = set()
        self._sections: dict[int, dict[tuple[str, int], None]] = {}
        self._dumped = (-1, "")
        self._handlers: dict[str, Callable[[Object], Iterator[Delta]]] = {
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
            "response.cancelled": self._failed,
        }

    @staticmethod
    def type_of(chunk: Chunk) -> str:
        """An event's type; hosts that do not say it in the object say it in the event's name."""
        return chunk.value.get("type") or chunk.event

    @property
    def resumable(self) -> bool:
        """Whether there is a resume point: the answer has an id, and what was read ends with a whole character."""
        return bool(self._response_id) and not self._parts.between_halves

    def read(self, chunk: Chunk) -> Iterator[Delta]:
        """The deltas of an event; none for one of an unknown type."""
        if chunk.value.get("object") == "response":
            whole = {"response": chunk.value}
            return self._failed(whole) if chunk.value.get("status") in ("failed", "cancelled") else self._end(whole)
        handler = self._handlers.get(self.type_of(chunk))
        return iter(()) if handler is None else handler(chunk.value)

    def resume_point(self, cursor: int) -> ResumePoint:
        """The resume point after an event all of whose deltas have been read."""
        changes = self._parts.changes + sum(map(len, self._sections.values())) + len(self._items)
        if changes != self._dumped[0]:
            sections = [[index, list(known)] for index, known in self._sections.items()]
            dumped = [self._parts.dump(), sections, self._items]
            self._dumped = (changes, json.dumps(dumped, separators=(",", ":")))
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
        parts, sections, self._items = json.loads(dumped)
        self._announced = set(self._items.values())
        self._sections = {index: dict.fromkeys(map(tuple, known)) for index, known in sections}
        for position, (key, kind, call_id, called, refusal, done) in enumerate(parts):
            part = OpenPart(position, kind, call_id, called, refusal, done, [partial.texts.get(position, "")])
            yield from self._parts.restore(None if key is None else tuple(key), part)

    def _number(self, event: Object, item_id: str, same: Collection[int] = ()) -> int:
        """The number of the item that an event is about; at the numbers in ``same``, a new id is the same item's."""
        given: int = event.get("output_index") or 0
        if not item_id:
            return given
        known = self._items.get(item_id)
        if known is None:
            taken = set(self._items.values())
            known = self._items[item_id] = given if given in same or given not in taken else max(taken) + 1
        return known

    def _created(self, event: Object) -> Iterator[Delta]:
        given = clean(event.get("response", {}).get("id", ""))
        self._response_id = given if len(given) <= _LONGEST_ID else ""
        return iter(())

    def _added(self, event: Object) -> Iterator[Delta]:
        item = event.get("item", {})
        index = self._number(event, item.get("id", ""))
        self._announced.add(index)
        if item.get("type") == "function_call":
            yield from self._start_call(index, item)

    def _start_call(self, index: int, item: Object) -> Iterator[Delta]:
        call_id = item.get("call_id") or made_call_id(self._request, self._parts.calls + 1)
        return self._parts.start_call((index, 0), call_id, item.get("name", ""))

    def _key(self, event: Object) -> tuple[int, int]:
        number = self._number(event, event.get("item_id", ""), self._announced - self._complete_items)
        return number, event.get("content_index") or 0

    def _text(self, event: Object) -> Iterator[Delta]:
        key = self._key(event)
        yield from self._parts.start(key, "text")
        yield from self._parts.append(key, event.get("delta", ""))

    def _refusal(self, event: Object) -> Iterator[Delta]:
        key = self._key(event)
        yield from self._parts.start(key, "text", refusal=True)
        yield from self._parts.append(key, event.get("delta", ""))

    def _summary(self, event: Object) -> Iterator[Delta]:
        index, section = self._key(event)[0], event.get("summary_index") or 0
        return self._reasoning(index, ("summary", section), event.get("delta", ""))

    def _thought(self, event: Object) -> Iterator[Delta]:
        index, section = self._key(event)
        return self._reasoning(index, ("content", section), event.get("delta", ""))

    def _reasoning(self, index: int, section: tuple[str, int], text: str) -> Iterator[Delta]:
        """More of a reasoning item, whose sections become one part with blank lines between them."""
        sections = self._sections.setdefault(index, {})
        yield from self._parts.start((index, 0), "reasoning")
        yield from self._parts.append((index, 0), _BETWEEN if sections and section not in sections else "")
        sections[section] = None
        yield from self._parts.append((index, 0), text)

    def _arguments(self, event: Object) -> Iterator[Delta]:
        key = (self._key(event)[0], 0)
        if self._parts.find(key):
            yield from self._parts.append(key, event.get("delta", ""))

    def _item_done(self, event: Object) -> Iterator[Delta]:
        item = event.get("item", {})
        kind, parts = _KINDS.get(item.get("type", "")), {n: self._parts.find((n, 0)) for n in self._items.values()}
        alike = {number for number, part in parts.items() if part and part.kind == kind}
        same = (self._announced | alike) - self._complete_items
        return self._complete(self._number(event, item.get("id", ""), same), item)

    def _complete(self, index: int, item: Object) -> Iterator[Delta]:
        """Complete the parts of an item: its own text adds what its deltas omitted."""
        self._complete_items.add(index)
        kind = item.get("type")
        if kind == "message":
            yield from self._complete_message(index, item)
        elif kind == "reasoning":
            yield from self._complete_reasoning(index, item)
        elif kind == "function_call":
            yield from self._start_call(index, item)
            # A call that the token limit has cut is never completed, so that it is not executed.
            if item.get("status") != "incomplete":
                own: Opaque | None = {"id": item["id"]} if item.get("id") else None
                yield from self._parts.complete((index, 0), item.get("arguments") or None, own)
        elif kind:
            yield from self._parts.opaque(cast("Opaque", item), (index, 0))

    def _complete_message(self, index: int, item: Object) -> Iterator[Delta]:
        own: Opaque = {key: item[key] for key in ("id", "phase") if item.get(key)}
        streamed = self._open_texts(index)
        contents: list[Object] = list(item.get("content") or ())
        for content_index, content in enumerate([each for each in contents if each.get("type") in _SAID] or contents):
            key = (index, content_index)
            said: str = content.get("text", "")
            if content.get("type") == "refusal":
                yield from self._parts.start(key, "text", refusal=True)
                yield from self._parts.complete(key, content.get("refusal") or None, {**own})
            elif self._parts.find(key) or (said and said not in streamed):  # a host may count anew, or lose an id
                yield from self._parts.start(key, "text")
                yield from self._parts.complete(key, said or None, {**own})

    def _open_texts(self, index: int) -> set[str]:
        """What has been streamed of an item, and of those that are not complete."""
        keys = cast("list[tuple[int, int]]", self._parts.keys())
        parts = [self._parts.find(key) for key in keys if key[0] == index or key[0] not in self._complete_items]
        return {part.text for part in parts if part}

    def _complete_reasoning(self, index: int, item: Object) -> Iterator[Delta]:
        texts: dict[tuple[str, int], str] = {
            (kind, section): part.get("text", "")
            for kind in ("summary", "content")
            for section, part in enumerate(item.get(kind) or ())
        }
        order = {**dict.fromkeys(self._sections.get(index, {})), **dict.fromkeys(texts)}
        whole = _BETWEEN.join(texts.get(section, "") for section in order) if texts else None
        opaque = cast("Opaque", item) if item.get("encrypted_content") else None
        started = self._parts.find((index, 0))
        if whole or (started and started.kind == "reasoning"):
            yield from self._parts.start((index, 0), "reasoning")
            yield from self._parts.complete((index, 0), whole, opaque)
        elif opaque:
            yield from self._parts.opaque(opaque, (index, 0))

    def _end(self, event: Object) -> Iterator[Delta]:
        return self.take(event.get("response", {}))

    def take(self, response: Object) -> Iterator[Delta]:
        """The deltas that are still missing of the whole answer; sets ``completed``."""
        for position, item in enumerate(response.get("output", ())):
            index = self._number({"output_index": position}, item.get("id", ""), self._items.values())
            if index not in self._complete_items:
                yield from self._complete(index, item)
        for key in self._parts.keys():  # noqa: SIM118 - not a dict
            part = self._parts.find(key)
            if part and (part.complete or part.kind != "tool_call"):
                yield from self._parts.complete(key)
        self.completed = Completed(self._finish_reason(response), usage_of(response))

    def _finish_reason(self, response: Object) -> FinishReason:
        if response.get("status") == "incomplete":
            return _INCOMPLETE.get(response.get("incomplete_details", {}).get("reason"), "length")
        if self._parts.calls:
            return "tool_calls"
        return "refusal" if self._parts.refused else "stop"

    def _failed(self, event: Object) -> Iterator[Delta]:
        response = event.get("response", {})
        status = "was cancelled" if response.get("status") == "cancelled" else "failed"
        raise reported(self.provider_model, response.get("error") or f"the model {status}")


def usage_of(response: Object) -> Usage:
    """What a response says that it has cost."""
    used = response.get("usage")
    return Usage(
        input_tokens=count(used, "input_tokens"),
        output_tokens=count(used, "output_tokens"),
        cached_input_tokens=count(used, "input_tokens_details", "cached_tokens"),
        cache_write_tokens=count(used, "input_tokens_details", "cache_write_tokens"),
        reasoning_tokens=count(used, "output_tokens_details", "reasoning_tokens"),
    )
