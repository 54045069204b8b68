"""An answer in OpenAI's Responses API: every event of it, numbered, and the response object."""

import itertools
from collections.abc import Sequence
from typing import Any

from tests.chaos.generating.plan import Answer, Body, Call
from tests.chaos.generating.script import Script
from tests.wire_answers import Event, call_item, message_item, named, reasoning_item, response

_ENCRYPTED = "reasoning.encrypted_content"
Steps = list[list[Event]]


def responses_script(answer: Answer, body: Body, own_id: str) -> Script:
    """The stream of an answer; its events are numbered from 0."""
    items, steps = _items(answer, body, own_id)
    background = bool(body.get("background"))
    begin = response_object(answer, body, own_id, "queued" if background else "in_progress")
    going = response_object(answer, body, own_id, "in_progress")
    whole = response_object(answer, body, own_id, "completed", items)
    opening: list[Event] = [{"type": "response.created", "response": begin}]
    if background:
        opening.append({"type": "response.queued", "response": begin})
    started: list[Event] = [{"type": "response.in_progress", "response": going}]
    ending: list[Event] = [{"type": "response.completed", "response": whole}]
    numbers = itertools.count()
    first, second, *tokens, last = [
        named(*({**event, "sequence_number": next(numbers)} for event in step))
        for step in (opening, started, *steps, ending)
    ]
    return Script(first, second, tokens, last, items)


def response_object(
    answer: Answer, body: Body, own_id: str, status: str, output: Sequence[Event] = ()
) -> dict[str, Any]:
    """The response as it stands: its output and its usage are told when it is complete."""
    more: dict[str, Any] = {
        "id": own_id,
        "model": body["model"],
        "background": bool(body.get("background")),
        "store": body.get("store", True),
        "usage": _usage(answer) if status == "completed" else None,
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "tool_choice": "auto",
        "tools": [],
    }
    return response(status, output, **more)


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "input_tokens": answer.tokens_in,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answer.tokens_out,
        "output_tokens_details": {"reasoning_tokens": len(answer.reasoning)},
        "total_tokens": answer.tokens_in + answer.tokens_out,
    }


def _items(answer: Answer, body: Body, own_id: str) -> tuple[list[dict[str, Any]], Steps]:
    items: list[dict[str, Any]] = []
    steps: Steps = []
    if answer.reasoning:
        encrypted = f"gAAAA-{own_id}" if _ENCRYPTED in (body.get("include") or ()) else None
        items.append({**reasoning_item("".join(answer.reasoning), encrypted=encrypted), "id": f"rs_{own_id}"})
        steps += _reasoning(items[-1], answer.reasoning)
    if answer.text:
        items.append({**message_item("".join(answer.text)), "id": f"msg_{own_id}"})
        steps += _text(items[-1], len(items) - 1, answer.text)
    for index, call in enumerate(answer.calls):
        items.append(call_item(call.call_id, call.name, "".join(call.pieces), id=f"fc_{own_id}_{index}"))
        steps += _call(items[-1], len(items) - 1, call)
    return items, steps


def _reasoning(item: dict[str, Any], tokens: Sequence[str]) -> Steps:
    at = {"output_index": 0, "item_id": item["id"], "summary_index": 0}
    (part,) = item["summary"]
    empty: Event = {"id": item["id"], "type": "reasoning", "summary": []}
    kind = "response.reasoning_summary"
    return _steps(
        [_added(0, empty), {"type": f"{kind}_part.added", **at, "part": {**part, "text": ""}}],
        [{"type": f"{kind}_text.delta", **at, "delta": token} for token in tokens],
        [
            {"type": f"{kind}_text.done", **at, "text": part["text"]},
            {"type": f"{kind}_part.done", **at, "part": part},
            _done(0, item),
        ],
    )


def _text(item: dict[str, Any], index: int, tokens: Sequence[str]) -> Steps:
    at = {"output_index": index, "item_id": item["id"], "content_index": 0}
    (part,) = item["content"]
    empty: Event = {**item, "content": [], "status": "in_progress"}
    return _steps(
        [_added(index, empty), {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}],
        [{"type": "response.output_text.delta", **at, "delta": token, "logprobs": []} for token in tokens],
        [
            {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []},
            {"type": "response.content_part.done", **at, "part": part},
            _done(index, item),
        ],
    )


def _call(item: dict[str, Any], index: int, call: Call) -> Steps:
    at = {"output_index": index, "item_id": item["id"]}
    kind = "response.function_call_arguments"
    return _steps(
        [_added(index, {**item, "arguments": "", "status": "in_progress"})],
        [{"type": f"{kind}.delta", **at, "delta": piece} for piece in call.pieces],
        [{"type": f"{kind}.done", **at, "name": call.name, "arguments": item["arguments"]}, _done(index, item)],
    )


def _added(index: int, item: Event) -> Event:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def _done(index: int, item: Event) -> Event:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def _steps(opening: list[Event], deltas: list[Event], closing: list[Event]) -> Steps:
    """A step for each token: the first opens the item, the last closes it."""
    steps = [[delta] for delta in deltas]
    steps[0] = [*opening, *steps[0]]
    steps[-1] += closing
    return steps
