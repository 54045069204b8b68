"""Good answers of the three wires to begin with, as lists of frames. Each text in them has marks that occur once."""

import json
from collections.abc import Callable, Sequence
from itertools import count
from typing import Literal

from tests.wire_answers import (
    CHAT_USAGE,
    DONE,
    Event,
    anthropic_stream,
    call_item,
    call_piece,
    chat_stream,
    chunk,
    data,
    message_item,
    named,
    reasoning_item,
    response,
    responses_stream,
    text_block,
    thinking_block,
    tool_block,
)

Wire = Literal["openai-chat", "openai", "anthropic"]
Frames = Sequence[bytes]
Marked = Callable[[], str]


def _marks() -> Marked:
    numbers = count(1)
    return lambda: f"\xab{next(numbers)}\xbb"


def _sentence(mark: Marked, length: int = 3) -> str:
    """A sentence with quotes, line ends, characters of two halves and other things that are escaped."""
    return " ".join(f'{mark()} a\n"b" \\ \N{GRINNING FACE} \u2028é' for _ in range(length))


def _arguments(mark: Marked) -> str:
    return json.dumps({"city": f"{mark()} Ulm", "deep": [{"n": 1.5, "none": None}], "odd": "\N{GRINNING FACE}\t/"})


def _halved(text: str) -> list[str]:
    """The text in pieces that end in the middle of a character of two halves."""
    units = text.encode("utf-16-le")
    pieces = [units[at : at + 14] for at in range(0, len(units), 14)]
    return [piece.decode("utf-16-le", errors="surrogatepass") for piece in pieces]


def chat() -> list[Frames]:
    """Of Chat Completions."""
    mark = _marks()
    parallel = [
        call_piece(0, "", "call_a", "get_weather"),
        call_piece(1, "", "call_b", "get_weather"),
        *(call_piece(index, piece) for piece in _halved(_arguments(mark)) for index in (0, 1)),
        call_piece(2, "{}", "call_c", "get_time"),
    ]
    thoughts = [{"reasoning_content": piece} for piece in _halved(_sentence(mark))]
    spoken = [{"content": piece} for piece in _halved(_sentence(mark))]
    details = {"reasoning_details": [{"type": "reasoning.encrypted", "data": "secret"}]}
    call = {"id": "call_d", "type": "function", "function": {"name": "get_time", "arguments": _arguments(mark)}}
    whole = {
        "role": "assistant",
        "content": _sentence(mark),
        "reasoning": _sentence(mark),
        "tool_calls": [call | {"extra_content": {"google": {"thought_signature": "abc"}}}],
    }
    return [
        chat_stream(*spoken),
        chat_stream(*thoughts, *spoken, *parallel, finish="tool_calls"),
        chat_stream(*parallel, details, finish="length"),
        chat_stream(*({"refusal": piece} for piece in _halved(_sentence(mark)))),
        [*data(chunk({"content": mark()}), {"error": {"code": 429, "message": "slow down"}}), DONE],
        [json.dumps({"object": "chat.completion", "choices": [{"message": whole, "finish_reason": "stop"}]}).encode()],
        data(chunk({"content": [{"type": "text", "text": mark()}, {"type": "thinking", "thinking": mark()}]}, "stop")),
        [*data(*(chunk(each) for each in spoken), chunk({}, "content_filter", usage=CHAT_USAGE))],
    ]


def responses() -> list[Frames]:
    """Of the Responses API."""
    mark = _marks()
    thought = reasoning_item(_sentence(mark), _sentence(mark))
    calls = [call_item(f"call_{name}", "get_weather", _arguments(mark)) for name in "ab"]
    text = message_item(_sentence(mark))
    both: list[Event] = [
        {"type": "output_text", "text": _sentence(mark), "annotations": []},
        {"type": "refusal", "refusal": _sentence(mark)},
    ]
    search = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"query": "x", "n": [1, 2.5]}}
    cut = call_item("call_c", "pay", '{"amount"', status="incomplete")
    failed = {"type": "response.failed", "response": response("failed", error={"code": "server_error", "message": "x"})}
    incomplete = response("incomplete", [text, cut], incomplete_details={"reason": "max_output_tokens"})
    return [
        responses_stream(text),
        responses_stream(thought, *calls, text),
        responses_stream(thought, search, message_item("", 1, content=both)),
        responses_stream(text, cut, end={"type": "response.incomplete", "response": incomplete}),
        responses_stream(text, end=failed),
        [json.dumps(response("completed", [thought, text, *calls])).encode()],
        [*responses_stream(text)[:3], *named({"type": "error", "code": "rate_limit_exceeded", "message": "slow"})],
    ]


def anthropic() -> list[Frames]:
    """Of the Messages API."""
    mark = _marks()
    calls = [tool_block(f"toolu_{name}", "get_weather", *_halved(_arguments(mark))) for name in "ab"]
    cited = ({"type": "text", "text": ""}, {"type": "text_delta", "text": mark()}, _CITED)
    search = tool_block("srvtoolu_1", "web_search", '{"query": ', '"x"}', kind="server_tool_use")
    found = ({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"title": "t"}]},)
    redacted = ({"type": "redacted_thinking", "data": "secret"},)
    content = [
        {"type": "thinking", "thinking": _sentence(mark), "signature": "s"},
        {"type": "text", "text": _sentence(mark)},
        {"type": "tool_use", "id": "toolu_c", "name": "get_time", "input": {"city": mark()}},
    ]
    whole = {"type": "message", "role": "assistant", "content": content, "stop_reason": "tool_use"}
    return [
        anthropic_stream(text_block(_sentence(mark))),
        anthropic_stream(thinking_block(_sentence(mark)), text_block(mark()), *calls, stop_reason="tool_use"),
        anthropic_stream(redacted, search, found, cited),
        anthropic_stream(text_block(mark()), calls[0][:-1], stop_reason="max_tokens"),
        anthropic_stream(text_block(mark()), stop_reason="refusal", stop_details={"explanation": _sentence(mark)}),
        [json.dumps(whole).encode()],
        [*anthropic_stream(text_block(mark()))[:4], *named({"type": "error", "error": {"type": "overloaded_error"}})],
    ]


_CITED: Event = {"type": "citations_delta", "citation": {"type": "char_location", "cited_text": "c", "n": 1.5}}
STREAMS: dict[Wire, Callable[[], list[Frames]]] = {"openai-chat": chat, "openai": responses, "anthropic": anthropic}
