"""A model that plays a script: deterministic and offline, for the demo and the tests."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import cast

from pydantic import JsonValue
from typing_extensions import override

from longrun.activities.failures import ProviderFailure, classify
from longrun.activities.providers.assembly import Assembly, Kind, made_call_id
from longrun.activities.providers.errors import ended_early
from longrun.activities.providers.provider import Completed, Delta, ModelRequest, Provider
from longrun.activities.providers.script import Item, Script, ScriptedCall, ScriptedFailure, Times, Turn, read_script
from longrun.workflows.contract.messages import FinishReason, Message, ReasoningPart, TextPart, ToolResultPart, Usage

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_PLACEHOLDER = re.compile(r"\{(run_id|step|last_result|input)\}")
_TOKEN = re.compile(r"\s*\S+|\s+")
_FAREWELL = Turn(items=(Item(text="Done."),))


class Scripted(Provider):
    """``scripted/NAME``: plays ``NAME.yaml``.

    Args:
        folders: Where scripts are looked for, in this order; ``None`` is no folder.
    """

    def __init__(self, *folders: Path | None) -> None:
        self._folders = [folder for folder in folders if folder is not None]
        self._read: dict[Path, tuple[int, Script]] = {}

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        script = self._script(request.model)
        turn = script.turn(_answers_since_user(request.messages), _user_text(request.messages)) or _FAREWELL
        player = _Player(request, script)
        for item in turn.items:
            async for delta in player.play(item):
                yield delta
        for delta in player.end():
            yield delta

    @override
    async def aclose(self) -> None:
        self._read.clear()

    def _script(self, name: str) -> Script:
        """The script of this name, read again when its file has changed."""
        found = [path for folder in self._folders if (path := folder / f"{name}.yaml").is_file()]
        if not _NAME.fullmatch(name) or not found:
            folders = ", ".join(str(folder) for folder in self._folders)
            raise ProviderFailure("fatal", f"scripted/{name}: there is no {name}.yaml in {folders}")
        changed = found[0].stat().st_mtime_ns
        if self._read.get(found[0], (None,))[0] != changed:
            self._read[found[0]] = (changed, read_script(found[0]))
        return self._read[found[0]][1]


class _Player:
    """Plays one turn."""

    def __init__(self, request: ModelRequest, script: Script) -> None:
        self._request = request
        self._provider_model = f"scripted/{request.model}"
        self._parts = Assembly(self._provider_model)
        self._values = {
            "run_id": request.run_id,
            "step": str(request.step),
            "last_result": _last_result(request.messages),
            "input": _user_text(request.messages),
        }
        self._chunk = script.chunk
        self._pause_per_token = 1 / script.tokens_per_second if script.tokens_per_second else 0.0
        self._due = 0.0
        self._tokens = 0
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None

    async def play(self, item: Item) -> AsyncIterator[Delta]:
        """The deltas of an item.

        Raises:
            ProviderFailure: The script says so.
        """
        self._set(item)
        if item.fail is not None:
            self._fail(item.fail)
        await self._wait(item)
        if item.text is not None:
            async for delta in self._say("text", item.text):
                yield delta
        if item.reasoning is not None:
            async for delta in self._say("reasoning", item.reasoning):
                yield delta
        for call in item.tool_calls or ():
            async for delta in self._call(call):
                yield delta

    def end(self) -> Iterator[Delta]:
        """The end of the turn."""
        yield from self._close()
        reason: FinishReason = "tool_calls" if self._parts.calls else "stop"
        input_tokens = sum(_count_tokens(part) for message in self._request.messages for part in _texts(message))
        usage = Usage(input_tokens=input_tokens + _count_tokens(self._request.system), output_tokens=self._tokens)
        yield Completed(self._finish or reason, self._usage or usage)

    def _set(self, item: Item) -> None:
        if item.tokens_per_second is not None:
            self._pause_per_token = 1 / item.tokens_per_second
        self._chunk = self._chunk if item.chunk is None else item.chunk
        self._finish = item.finish_reason or self._finish
        self._usage = item.usage or self._usage

    def _fail(self, failure: ScriptedFailure) -> None:
        if self._request.attempt <= failure.times:
            codes = [failure.code] if failure.code else []
            kind = failure.kind or classify(failure.status, codes, failure.message)
            raise ProviderFailure(kind, f"{self._provider_model}: {failure.message}", retry_after=failure.retry_after)

    async def _wait(self, item: Item) -> None:
        if item.pause is not None:
            await asyncio.sleep(item.pause)
            self._due = 0.0
        if self._now(item.hang):
            await asyncio.Event().wait()
        if self._now(item.end_early):
            raise ended_early(self._provider_model)

    def _now(self, times: Times | None) -> bool:
        return times if isinstance(times, bool) else times is not None and self._request.attempt <= times

    async def _say(self, kind: Kind, text: str) -> AsyncIterator[Delta]:
        if self._parts.find(kind) is None:
            for delta in self._close():
                yield delta
            for delta in self._parts.start(kind, kind):
                yield delta
        async for delta in self._paced(kind, self._fill(text)):
            yield delta

    async def _call(self, call: ScriptedCall) -> AsyncIterator[Delta]:
        for delta in self._close():
            yield delta
        call_id = self._fill(call.id) or made_call_id(self._request, self._parts.calls + 1)
        for delta in self._parts.start_call("call", call_id, call.name):
            yield delta
        given = call.arguments
        text = self._fill(given) if isinstance(given, str) else json.dumps(self._filled(given), ensure_ascii=False)
        async for delta in self._paced("call", text):
            yield delta
        for delta in self._close():
            yield delta

    def _close(self) -> Iterator[Delta]:
        for key in self._parts.keys():  # noqa: SIM118 - not a dict
            yield from self._parts.complete(key)

    async def _paced(self, key: str, text: str) -> AsyncIterator[Delta]:
        """The text in pieces, at the script's pace."""
        self._tokens += _count_tokens(text)
        size = self._chunk
        pieces = [text[at : at + size] for at in range(0, len(text), size)] if size else _TOKEN.findall(text)
        for piece in cast("list[str]", pieces):
            await self._keep_pace()
            for delta in self._parts.append(key, piece):
                yield delta

    async def _keep_pace(self) -> None:
        """Wait until the next piece is due; with no pace, only let others run."""
        clock = asyncio.get_running_loop().time
        self._due = self._due or clock()
        await asyncio.sleep(max(0.0, self._due - clock()))
        self._due += self._pause_per_token

    def _fill(self, text: str) -> str:
        return _PLACEHOLDER.sub(lambda match: self._values[match[1]], text)

    def _filled(self, value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return self._fill(value)
        if isinstance(value, list):
            return [self._filled(each) for each in value]
        if isinstance(value, dict):
            return {key: self._filled(each) for key, each in value.items()}
        return value


def _answers_since_user(messages: tuple[Message, ...]) -> int:
    roles = [message.role for message in messages]
    return roles[::-1][: roles[::-1].index("user") if "user" in roles else None].count("assistant")


def _user_text(messages: tuple[Message, ...]) -> str:
    return next((message.text for message in reversed(messages) if message.role == "user"), "")


def _last_result(messages: tuple[Message, ...]) -> str:
    results = (part for message in reversed(messages) for part in reversed(message.parts))
    return next((part.content for part in results if isinstance(part, ToolResultPart)), "")


def _texts(message: Message) -> Iterator[str]:
    for part in message.parts:
        if isinstance(part, TextPart | ReasoningPart):
            yield part.text
        elif isinstance(part, ToolResultPart):
            yield part.content


def _count_tokens(text: str) -> int:
    return len(text.split())
