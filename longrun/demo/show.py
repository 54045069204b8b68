"""The demo's acts: one run, read live, cut, killed, reviewed, wiped and read again."""

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from longrun.client import AnyEvent, AsyncClient, Line
from longrun.client.connection import http_options
from longrun.demo import proofs
from longrun.demo.proofs import Cut, Kill, Proof, Wipe
from longrun.demo.reviewer import BAR, Reviewer
from longrun.demo.stack import Stack
from longrun.terminal.view import View
from longrun.workflows.contract.events import (
    TERMINAL,
    ApprovalRequested,
    ReasoningDelta,
    RunAccepted,
    TextDelta,
    ToolCallDelta,
)

_SILENCE = 90.0
"""Seconds without an event after which the demo gives up."""
_MISSED = 5
"""Events that the reader is to miss before it comes back."""
_AGENT = {
    "name": "librarian",
    "system": (
        "You work in a folder of files. Say in two or three sentences what you are about to do before each tool call. "
        "First list the folder docs, then read and search what matters in it, then write your report to report.md."
    ),
    "tools": ["list_files", "read_file", "search_files", "write_file"],
}
_PROMPT = "Read docs/ and write to report.md, on one page, what longrun promises when things break."

Delta = TextDelta | ReasoningDelta | ToolCallDelta
Cue = Callable[[AnyEvent], bool]


class DemoError(Exception):
    """The demo cannot continue; the message is for a person."""


@dataclass(frozen=True)
class Cues:
    """When to cut and, in a later step, when to kill: the number of tokens of a model call.

    ``exact``: a model call that is interrupted is always repeated, never re-attached.
    """

    cut: int
    kill: int
    exact: bool


SCRIPTED = Cues(cut=30, kill=19, exact=True)
REAL = Cues(cut=4, kill=1, exact=False)


@dataclass
class Show:
    """Plays the acts in order; ``act`` is the one that is on, ``proofs`` what has been proved."""

    stack: Stack
    client: AsyncClient
    view: View
    reviewer: Reviewer
    cues: Cues
    act: str = "run started"
    run_id: str = ""
    lines: list[Line] = field(default_factory=list[Line])
    proofs: list[Proof] = field(default_factory=list[Proof])

    @property
    def web_ui(self) -> str:
        """Where Temporal shows the run."""
        return self.stack.web_ui(self.run_id)

    @property
    def report(self) -> Path:
        """What the agent writes."""
        return self.stack.workspace / "report.md"

    async def play(self, model: str) -> None:
        """Play all acts.

        Raises:
            DemoError: The run did not do what the next act needs.
            ClientError: The gateway refused, or is gone.
            ReviewError: The run did not wait for the reviewer.
        """
        self.run_id = (await self.client.start_run({**_AGENT, "model": model}, _PROMPT)).id
        self.view.say(f"  Web UI: {self.web_ui}\n", "")
        await self._cut()
        async with aclosing(self.client.stream_lines(self.run_id, self.lines[-1].seq)) as live:
            await self._resume(live)
            kill = await self._kill(live)
            self.act = "run completed"
            await self._until(live, None)
        size = self.report.stat().st_size if self.report.exists() else None
        self.proofs += [
            proofs.survived(kill, self.lines, exact=self.cues.exact),
            proofs.no_duplicates(self.lines),
            proofs.one_log(self.lines, await self._stream("raw")),
            proofs.decided(self.reviewer.given, self.lines, size),
        ]
        await self._wipe()

    async def _cut(self) -> None:
        """Read until the middle of a text, and close the socket."""
        self.act = "cut and resume"
        async with aclosing(self.client.stream_lines(self.run_id)) as live:
            await self._until(live, _tokens(self.cues.cut))
        self._announce("CUT", f"the reader's socket is closed after seq {self.lines[-1].seq}; the run does not notice")

    async def _resume(self, live: AsyncGenerator[Line]) -> None:
        """Reconnect when events were missed."""
        after = self.lines[-1].seq
        missed = await self._missed(after)
        self._announce("RESUME", f"{missed} events later the reader comes back with starting_after={after}:")
        first = await self._next(live)
        self.proofs.append(proofs.resumed(Cut(after, missed, first.seq)))

    async def _kill(self, live: AsyncGenerator[Line]) -> Kill:
        """Kill the worker during a model call of a later step, and wait for another worker to resume."""
        self.act = "worker killed"
        struck = await self._until(live, _tokens(self.cues.kill, after=_step(self.lines[-1])))
        seq, pid, began = self.lines[-1].seq, self.stack.kill_worker(), time.monotonic()
        self._announce("KILL", f"SIGKILL to the worker, pid {pid}, in the middle of a model call, after seq {seq}")
        self._announce("", "Its lease has ended with it: what it held is given back, and another one resumes")

        def resumed(event: AnyEvent) -> bool:
            # Events that the killed worker had committed may come first.
            return not isinstance(event, Delta) and self.stack.worker.pid not in (0, pid)

        event = await self._until(live, resumed)
        kill = Kill(pid, seq, struck.step or 0, time.monotonic() - began, self.stack.worker.pid)
        self._announce("BACK", f"{kill.seconds:.1f} s after the kill, by pid {kill.successor}: {event.type}")
        return kill

    async def _wipe(self) -> None:
        """Delete the log and read it again."""
        self.act = "log from history"
        before = await self._stream("settled")
        rows, remaining = await asyncio.to_thread(_delete_log, self.stack.database)
        self._announce("WIPE", f"all {rows} rows of the log are deleted from the store, {remaining} are left")
        after = await self._stream("settled")
        self._announce("REBUILD", f"the same stream is asked for again: {len(after):,} bytes, from Temporal's history")
        self.proofs.append(proofs.from_history(Wipe(rows, remaining, before, after), self.lines))

    async def _until(self, live: AsyncGenerator[Line], cue: Cue | None) -> AnyEvent:
        """Show the run until the cue is met, or without one until its end."""
        while True:
            line = await self._next(live)
            event = line.event()
            if isinstance(event, ApprovalRequested):
                await self._review(event)
            if cue is not None and cue(event):
                return event
            if line.type in TERMINAL:
                if cue is None:
                    return event
                raise DemoError(f"the run ended too early: {line.type}")

    async def _review(self, requested: ApprovalRequested) -> None:
        for call in requested.calls:
            there = "there already" if self.report.exists() else "not there yet"
            self._announce("REVIEW", f"{call.name} has to be approved: the run waits; {self.report.name} is {there}")
            await self.reviewer.review(self.run_id, call, self.report.exists)

    async def _next(self, live: AsyncGenerator[Line]) -> Line:
        try:
            async with asyncio.timeout(_SILENCE):
                line = await anext(live)
        except TimeoutError as error:
            raise DemoError(f"nothing came for {_SILENCE:g} s") from error
        except StopAsyncIteration as error:
            raise DemoError("the stream ended before the run") from error
        self.lines.append(line)
        event = line.event()
        if isinstance(event, RunAccepted):
            self.view.say(f"run {event.run_id} · {event.agent.name} ({event.agent.model})")
            self.view.say(f"> {event.input.text}", "bold")
        elif not isinstance(event, ApprovalRequested):
            self.view.show(event)
        return line

    async def _missed(self, after: int) -> int:
        """Wait until the log has grown while nobody reads its stream; by how much."""
        try:
            async with asyncio.timeout(_SILENCE):
                while True:
                    missed = len((await self.client.list_events(self.run_id, after)).events)
                    if missed >= _MISSED:
                        return missed
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise DemoError(f"the log did not grow for {_SILENCE:g} s") from error

    async def _stream(self, view: str) -> bytes:
        """The stream of the run that is over, byte for byte as it is sent."""
        async with httpx2.AsyncClient(**http_options(self.stack.plan.api, None, None)) as http:
            answer = await http.get(f"/api/runs/{self.run_id}/stream", params={"view": view}, timeout=_SILENCE)
        if not answer.is_success:
            raise DemoError(f"{answer.url} answers {answer.status_code}: {answer.text}")
        return answer.content

    def _announce(self, what: str, text: str) -> None:
        self.view.pause()
        self.view.say(f"▌ {what:<8} {text}", BAR)


def _step(line: Line) -> int:
    return line.event().step or 0


def _tokens(number: int, *, after: int = 0) -> Cue:
    """Met by this many tokens in one step, however they are cut into deltas; only steps after ``after`` count."""
    counts: Counter[int] = Counter()

    def cue(event: AnyEvent) -> bool:
        step = event.step or 0
        if not isinstance(event, Delta) or step <= after:
            return False
        counts[step] += len(event.delta.split()) or 1
        return counts[step] >= number

    return cue


def _delete_log(database: Path) -> tuple[int, int]:
    """Delete the logs of all runs in the database's file; the numbers of deleted and of remaining rows."""
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        deleted = connection.execute("DELETE FROM segments").rowcount
        connection.commit()
        remaining: int = connection.execute("SELECT count(*) FROM segments").fetchone()[0]
    return deleted, remaining
