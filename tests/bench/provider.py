"""A model that costs nothing: Chat Completions over SSE, told by the model's name how to behave.

``bench-TOKENS-RATE[-silent-SECONDS][-until-TIME][-tool]``: that many tokens at that rate per second (0: at once), after
a silence of so many seconds, or one until a time (seconds since 1970) however often it is asked before.
With ``-tool`` a conversation's first answer is one call of the tool ``wait`` for no time. Each token says when it was
sent. Run as ``python -m tests.bench.provider PORT``.
"""

import asyncio
import contextlib
import json
import re
import sys
import time
from dataclasses import dataclass
from typing import Any

from tests.bench.figures import SECOND, mark

TOOL = "wait"
ARGUMENTS = ('{"sec', 'onds":0}')

_NAME = re.compile(
    r"bench-(?P<tokens>\d+)-(?P<rate>\d+)(-silent-(?P<silent>\d+))?(-until-(?P<until>\d+))?(?P<tool>-tool)?"
)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_REFUSED = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
_USAGE = '{"prompt_tokens":9,"completion_tokens":%d,"total_tokens":%d}'
_CHUNK = '{"id":"bench","object":"chat.completion.chunk","created":1,"model":"bench",%s}'
_END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


@dataclass(frozen=True)
class Behaviour:
    """What a model's name asks for."""

    tokens: int
    rate: int
    silent: int
    until: int
    tool: bool

    @classmethod
    def of(cls, model: str) -> "Behaviour | None":
        """The behaviour that a name stands for."""
        found = _NAME.fullmatch(model)
        if found is None:
            return None
        numbers = (int(found[name] or 0) for name in ("tokens", "rate", "silent", "until"))
        return cls(*numbers, tool=found["tool"] is not None)


def event(members: str) -> bytes:
    """One SSE event as one HTTP chunk."""
    body = f"data: {_CHUNK % members}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(body), body)


def delta(content: str, finish: str = "null") -> bytes:
    """A chunk with a delta; the delta is JSON."""
    return event(f'"choices":[{{"index":0,"delta":{content},"finish_reason":{finish}}}]')


def ending(finish: str, tokens: int) -> bytes:
    """The last chunks: the reason, the usage, the end."""
    usage = event(f'"choices":[],"usage":{_USAGE % (tokens, tokens + 9)}')
    return delta("{}", f'"{finish}"') + usage + _END


def tool_call() -> list[bytes]:
    """The chunks of a call."""
    head = {"index": 0, "id": f"call_{time.monotonic_ns():x}", "type": "function"}
    opened = {**head, "function": {"name": TOOL, "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": piece}} for piece in ARGUMENTS]
    return [delta(json.dumps({"tool_calls": [each]})) for each in (opened, *pieces)]


async def answer(received: int, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """Play one answer."""
    behaviour = Behaviour.of(str(request["model"]))
    if behaviour is None:
        writer.write(_REFUSED)
        return
    writer.write(_HEAD)
    if behaviour.tool and not any(message["role"] == "tool" for message in request["messages"]):
        writer.write(b"".join(tool_call()) + ending("tool_calls", len(ARGUMENTS)))
        return
    await asyncio.sleep(max(behaviour.silent, behaviour.until - time.time()))
    started = time.monotonic_ns()
    for index in range(behaviour.tokens):
        if behaviour.rate:
            await asyncio.sleep((started - time.monotonic_ns()) / SECOND + index / behaviour.rate)
        token = mark(time.monotonic_ns(), received if index == 0 else None)
        writer.write(delta(f'{{"content":"{token}"}}'))
    writer.write(ending("stop", behaviour.tokens))


async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the questions of one connection, until its other end closes it."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            received = time.monotonic_ns()
            await answer(received, json.loads(body), writer)
            await writer.drain()
    writer.close()


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.start_server(connection, "127.0.0.1", port, limit=2**24, backlog=512)
    sys.stdout.write("provider ready\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
