"""An answer in Chat Completions, with its thinking in the field that compatible hosts have for it."""

from typing import Any

from tests.chaos.generating.plan import Answer, Body
from tests.chaos.generating.script import Script
from tests.wire_answers import DONE, Event, call_piece, chunk, data


def chat_script(answer: Answer, body: Body, own_id: str) -> Script:
    """The stream of an answer."""
    own: dict[str, Any] = {"id": own_id, "model": body["model"]}
    deltas: list[dict[str, Any]] = [{"reasoning_content": token} for token in answer.reasoning]
    deltas += [{"content": token} for token in answer.text]
    for index, call in enumerate(answer.calls):
        first, *remaining = call.pieces
        deltas.append(call_piece(index, first, call.call_id, call.name))
        deltas += [call_piece(index, piece) for piece in remaining]
    ending: list[Event] = [chunk({}, "tool_calls" if answer.calls else "stop", **own)]
    options: Body = body.get("stream_options") or {}
    if options.get("include_usage"):
        ending.append(chunk(usage=_usage(answer), **own))
    return Script(
        opening=[],
        started=data(chunk({"role": "assistant", "content": ""}, **own)),
        tokens=[data(chunk(delta, **own)) for delta in deltas],
        ending=[*data(*ending), DONE],
    )


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.tokens_in,
        "completion_tokens": answer.tokens_out,
        "total_tokens": answer.tokens_in + answer.tokens_out,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": len(answer.reasoning)},
    }
