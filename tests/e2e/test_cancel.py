"""A cancel comes through fast, leaves nothing behind, and the thread's next run is one that a provider accepts."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from longrun.runtime.ids import new_id
from longrun.runtime.settings import Settings
from longrun.workflows.contract.events import Event, ToolCallDelta, ToolCompleted
from tests import wire as wires
from tests.activities.providers.asking import catalog_for
from tests.harness import until
from tests.logcheck import check_log, of_type, parsed, settled_text
from tests.patience import PATIENCE
from tests.processes import alive
from tests.running import Front, serving, working
from tests.wire import Wire
from tests.wire_answers import (
    Answer,
    Stall,
    anthropic_stream,
    call_item,
    call_piece,
    chat_stream,
    message_item,
    responses_stream,
    text_block,
    tool_block,
)

pytestmark = pytest.mark.server

PROMISED = 3.0
"""Seconds in which a cancelled run ends on a machine that is not busy with others."""

Call = tuple[str, str, dict[str, Any]]
LOOK: Call = ("call_look", "look", {"what": "x"})
SILENCE: Call = ("call_silence", "keep_silent", {"seconds": 600})


def _responses(text: str, calls: Sequence[Call]) -> list[bytes]:
    return responses_stream(message_item(text), *(call_item(id_, name, json.dumps(args)) for id_, name, args in calls))


def _chat(text: str, calls: Sequence[Call]) -> list[bytes]:
    pieces = [{"content": text}]
    for index, (call_id, name, args) in enumerate(calls):
        begin, end = _halves(args)
        pieces += [call_piece(index, begin, call_id, name), call_piece(index, end)]
    return chat_stream(*pieces, finish="tool_calls" if calls else "stop")


def _anthropic(text: str, calls: Sequence[Call]) -> list[bytes]:
    blocks = [tool_block(call_id, name, *_halves(args)) for call_id, name, args in calls]
    return anthropic_stream(text_block(text), *blocks, stop_reason="tool_use" if calls else "end_turn")


def _halves(arguments: dict[str, Any]) -> tuple[str, str]:
    """Arguments in two pieces, as the words of ``call_item`` are."""
    written = json.dumps(arguments)
    cut = written.index(" ") + 1
    return written[:cut], written[cut:]


@dataclass(frozen=True)
class Dialect:
    """How a provider says something.

    ``last`` is how many pieces a stream has from the middle of its last call on; ``closes`` says that each call comes
    with an end of its own, before the answer's.
    """

    model: str
    says: Callable[[str, Sequence[Call]], list[bytes]]
    last: int
    closes: bool = True

    def whole(self, text: str, *calls: Call) -> Answer:
        """The whole of an answer."""
        return Answer(self.says(text, calls))

    def cut(self, stall: Stall, text: str, *calls: Call) -> Answer:
        """An answer that stalls in the middle of its last call's arguments."""
        pieces = self.says(text, calls)
        return Answer([*pieces[: -self.last], stall, *pieces[-self.last :]])


CHAT = Dialect("openai-chat/gpt-test", _chat, 4, closes=False)
DIALECTS = [
    pytest.param(Dialect("openai/gpt-test", _responses, 3), id="responses"),
    pytest.param(CHAT, id="chat"),
    pytest.param(Dialect("anthropic/claude-test", _anthropic, 4), id="anthropic"),
]


class Watched:
    """A run that somebody reads while it goes on."""

    def __init__(self, front: Front, run_id: str) -> None:
        self._front = front
        self.run_id = run_id
        self.events: list[Event] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async with self._front.http.stream("GET", f"/api/runs/{self.run_id}/stream", timeout=PATIENCE) as response:
            async for sse in httpx2.EventSource(response):
                self.events += parsed([sse.data])

    async def seen(self, kind: str, count: int = 1) -> list[Event]:
        """Wait until the log has so many events of a type."""

        async def look() -> list[Event] | None:
            found = of_type(self.events, kind)
            return found if len(found) >= count else None

        return await until(look, f"{count} {kind}")

    async def written(self, arguments: str) -> None:
        """Wait until the model has written these arguments, however they were cut."""

        async def look() -> bool:
            deltas = [event.delta for event in self.events if isinstance(event, ToolCallDelta)]
            return arguments in "".join(deltas)

        await until(look, arguments)

    async def cancelled(self) -> list[Event]:
        """Cancel the run and wait for the end of its stream; its whole log."""
        requested = monotonic()
        response = await self._front.http.post(f"/api/runs/{self.run_id}/cancel", json={"by": "ann"})
        assert response.json()["delivery"] == "delivered"
        async with asyncio.timeout(PATIENCE):
            await self._reading
        print(f"the run ended {monotonic() - requested:.2f} s after the cancel (promised: {PROMISED:g})")  # noqa: T201 - the figure
        check_log(self.events)
        assert self.events[-1].type == "run.cancelled"
        return self.events

    async def aclose(self) -> None:
        """Stop reading."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)


@dataclass(frozen=True)
class Deployment:
    """The whole system, and the provider that its models are asked of."""

    front: Front
    wire: Wire

    @asynccontextmanager
    async def watched(self, model: str, tools: Sequence[str], thread_id: str) -> AsyncGenerator[Watched]:
        """Start a run and read its stream."""
        run = await self.front.start(agent(model, tools), thread_id=thread_id)
        watched = Watched(self.front, run["id"])
        try:
            yield watched
        finally:
            await watched.aclose()

    async def next_is_accepted(self, dialect: Dialect, tools: Sequence[str], thread_id: str) -> str:
        """Run once more on the thread; what the provider was asked, which it has checked."""
        self.wire.play(dialect.whole("Fine."))
        following = await self.front.start(agent(dialect.model, tools), "go on", thread_id=thread_id)
        ended = await self.front.ended(following["id"])
        assert self.wire.violations == []
        assert (ended["status"], ended["output"]) == ("completed", "Fine.")
        return json.dumps(self.wire.requests[-1].body)


def agent(model: str, tools: Sequence[str]) -> dict[str, Any]:
    return {"model": model, "tools": [{"name": name, "approval": "never"} for name in tools]}


def results(events: list[Event]) -> dict[str, str]:
    """How each call ended."""
    return {event.call_id: event.status for event in events if isinstance(event, ToolCompleted)}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployment(temporal: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    home: Path = tmp_path_factory.mktemp("cancel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LONGRUN_TOOLS", "tests.e2e.silent_tools")
        settings = Settings(home=home, task_queue=f"longrun-{new_id()}", unasked_tools="*")
    async with (
        wires.start() as wire,
        serving(settings, temporal) as front,
        working(settings, temporal, catalog_for(wire, read_timeout=600)),
    ):
        yield Deployment(front, wire)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_cancel_in_a_silent_tool_ends_the_run_beside_a_call_that_is_done(
    deployment: Deployment, dialect: Dialect
) -> None:
    tools, thread_id = ("look", "keep_silent"), new_id()
    deployment.wire.play(dialect.whole("Let me see.", LOOK, SILENCE))
    async with deployment.watched(dialect.model, tools, thread_id) as run:
        await run.seen("tool.completed")
        await run.seen("tool.started", 2)
        events = await run.cancelled()
    assert results(events) == {"call_look": "ok", "call_silence": "cancelled"}
    request = await deployment.next_is_accepted(dialect, tools, thread_id)
    assert "saw x" in request
    assert "call_silence" in request


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_cancel_in_a_models_answer_ends_the_run_and_hangs_up(deployment: Deployment, dialect: Dialect) -> None:
    tools, thread_id, stall = ("look", "keep_silent"), new_id(), Stall()
    deployment.wire.play(dialect.cut(stall, "Let me see.", LOOK, SILENCE))
    async with deployment.watched(dialect.model, tools, thread_id) as run:
        async with asyncio.timeout(PATIENCE):
            await stall.reached.wait()
        await run.written(_halves(SILENCE[2])[0])
        events = await run.cancelled()
        async with asyncio.timeout(PATIENCE):
            await stall.disconnected.wait()
    assert settled_text(events) == "Let me see."
    assert results(events) == ({"call_look": "cancelled"} if dialect.closes else {})
    request = await deployment.next_is_accepted(dialect, tools, thread_id)
    assert "Let me see." in request


FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""


async def test_a_cancel_leaves_nothing_of_a_program_and_its_children(deployment: Deployment) -> None:
    tools, thread_id = ("run_python",), new_id()
    deployment.wire.play(CHAT.whole("I run it.", ("call_run", "run_python", {"code": FAMILY})))
    async with deployment.watched(CHAT.model, tools, thread_id) as run:
        (report,) = await run.seen("tool.progress")
        pids = [int(pid) for pid in report.model_dump()["data"]["output"].split()]
        assert all(map(alive, pids))
        events = await run.cancelled()
    assert results(events) == {"call_run": "cancelled"}

    async def dead() -> bool:
        return not any(map(alive, pids))

    await until(dead, "the end of the program's processes")
    await deployment.next_is_accepted(CHAT, tools, thread_id)
