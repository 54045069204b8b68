"""What providers demand of a conversation and no mock server checks; a check names the rule that it finds broken."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ANTHROPIC_ID = re.compile(r"[A-Za-z0-9_-]+")

Body = Mapping[str, Any]


def check(path: str, body: Body) -> None:
    """Check a request by the path that it was posted to; other paths have no rules."""
    checks = {"/responses": check_openai_responses, "/completions": check_openai_chat, "/messages": check_anthropic}
    for end, rules in checks.items():
        if path.endswith(end):
            rules(body)


def check_openai_responses(body: Body) -> None:
    """Each call answered once and later, no orphans, reasoning followed by what it led to."""
    items: Sequence[Body] = body["input"]
    assert items, "input: empty"
    _tool_names([tool["name"] for tool in body.get("tools", ())])
    calls: list[str] = []
    answered: list[str] = []
    for index, item in enumerate(items):
        kind = item.get("type", "message")
        if kind == "function_call":
            _json_object(item["arguments"], f"input[{index}].arguments")
            calls.append(item["call_id"])
        elif kind == "function_call_output":
            assert item["call_id"] in calls, f"input[{index}]: a result without its function_call before it"
            assert isinstance(item["output"], str), f"input[{index}].output: not text"
            answered.append(item["call_id"])
        elif kind == "reasoning":
            _reasoning_leads_somewhere(items, index, stored=body.get("store", True))
        else:
            assert item.get("content") is not None or kind != "message", f"input[{index}]: a message without content"
    _each_once(calls, answered)


def _reasoning_leads_somewhere(items: Sequence[Body], index: int, *, stored: bool) -> None:
    item = items[index]
    assert stored or item.get("encrypted_content"), f"input[{index}]: reasoning that is stored nowhere"
    follower: Body = items[index + 1] if index + 1 < len(items) else {}
    kinds = ("reasoning", "function_call", "message")
    led = follower.get("type") in kinds and follower.get("role") != "user"
    assert led, f"input[{index}]: reasoning without its required following item"


def check_openai_chat(body: Body) -> None:
    """Each call answered right after its message, nothing in between, no orphans."""
    messages: Sequence[Body] = body["messages"]
    assert messages, "messages: empty"
    _tool_names([tool["function"]["name"] for tool in body.get("tools", ())])
    open_calls: list[str] = []
    calls: list[str] = []
    answered: list[str] = []
    for index, message in enumerate(messages):
        at = f"messages[{index}]"
        if message["role"] == "tool":
            assert message["tool_call_id"] in open_calls, f"{at}: a tool message without its call in the message before"
            assert isinstance(message["content"], str), f"{at}.content: not text"
            open_calls.remove(message["tool_call_id"])
            answered.append(message["tool_call_id"])
            continue
        assert not open_calls, f"{at}: another role before the results of {open_calls}"
        open_calls = [call["id"] for call in message.get("tool_calls") or ()]
        calls += open_calls
        for call in message.get("tool_calls") or ():
            _json_object(call["function"]["arguments"], f"{at}.tool_calls.arguments")
        assert message.get("content") is not None or open_calls, f"{at}: neither content nor calls"
    assert not open_calls, f"messages: no results of {open_calls}"
    _each_once(calls, answered)


def check_anthropic(body: Body) -> None:
    """Results first and all in the next user message, no orphans, no empty text, thinking signed and not last."""
    messages: Sequence[Body] = body["messages"]
    assert isinstance(body.get("max_tokens"), int), "max_tokens: required"
    assert messages, "messages: empty"
    assert messages[0]["role"] == "user", "messages[0]: the first message is the user's"
    _tool_names([tool["name"] for tool in body.get("tools", ())])
    waiting: list[str] = []
    calls: list[str] = []
    answered: list[str] = []
    for index, message in enumerate(messages):
        blocks = _blocks(message, f"messages[{index}]")
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert set(waiting) == set(results), f"messages[{index}]: waits for {waiting}, answers {results}"
        kinds = [block["type"] for block in blocks]
        assert kinds[: len(results)] == ["tool_result"] * len(results), f"messages[{index}]: results come before text"
        waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]
        assert not waiting or message["role"] == "assistant", f"messages[{index}]: a call that the user made"
        calls += waiting
        answered += results
    assert not waiting, f"messages: no results of {waiting}"
    assert body.get("tools") or not calls, "tools: required where the history has calls"
    _each_once(calls, answered)


def _blocks(message: Body, at: str) -> Sequence[Body]:
    content = message["content"]
    blocks: Sequence[Body] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    assert blocks, f"{at}: empty content"
    for block in blocks:
        kind = block["type"]
        assert kind != "text" or block["text"].strip(), f"{at}: an empty text block"
        assert kind != "tool_use" or isinstance(block["input"], dict), f"{at}: input is not an object"
        assert kind != "tool_use" or _ANTHROPIC_ID.fullmatch(block["id"]), f"{at}: the id {block['id']!r}"
        assert kind != "thinking" or block.get("signature"), f"{at}: thinking without signature"
    thinks = blocks[-1]["type"] in ("thinking", "redacted_thinking")
    assert not thinks, f"{at}: the final block must not be thinking"
    _each_once([b["id"] for b in blocks if b["type"] == "server_tool_use"], None)
    return blocks


def _each_once(calls: list[str], answered: list[str] | None) -> None:
    twice = sorted({call for call in calls if calls.count(call) > 1})
    assert not twice, f"calls: no id twice, but {twice}"
    if answered is not None:
        assert sorted(calls) == sorted(answered), f"calls: one result each, but {calls} have {answered}"


def _json_object(text: object, at: str) -> None:
    assert isinstance(text, str), f"{at}: not text"
    try:
        value = json.loads(text)
    except ValueError as error:
        raise AssertionError(f"{at}: not JSON: {text!r}") from error
    assert isinstance(value, dict), f"{at}: not an object"


def _tool_names(names: list[str]) -> None:
    for name in names:
        assert _TOOL_NAME.fullmatch(name), f"tools: the name {name!r}"
    assert len(set(names)) == len(names), "tools: a name twice"
