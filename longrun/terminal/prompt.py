"""Asks a person at a terminal about the calls that wait, while the run's events go on coming."""

import asyncio
import getpass
import json
import os
import termios
from typing import Any, Literal, Protocol
from uuid import uuid4

from pydantic import JsonValue

from longrun.client import AnyEvent, ApiError, AsyncClient, ClientError
from longrun.terminal.view import View
from longrun.terminal.wording import clean, whole
from longrun.workflows.contract.events import ApprovalDecided, ApprovalExpired, RunWaiting
from longrun.workflows.contract.runs import Decision, PendingApproval, Verdict

_CONFLICT = 409
_QUESTION = "[a]pprove, [d]eny, [e]dit the arguments, [g]ive its result, [s]kip? "
_ANSWERS: dict[str, Verdict | Literal["skip"]] = {
    **dict.fromkeys(("a", "approve", "y", "yes"), "approve"),
    **dict.fromkeys(("d", "deny", "n", "no"), "deny"),
    **dict.fromkeys(("e", "edit"), "edit"),
    **dict.fromkeys(("g", "give", "answer"), "answer"),
    **dict.fromkeys(("s", "skip"), "skip"),
}


def os_user() -> str:
    """Who uses this process, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


class Lines(Protocol):
    """Where a person's lines come from."""

    def forget(self) -> None:
        """Drop what was typed before anything was asked."""
        ...

    async def line(self) -> str | None:
        """The next line; ``None`` when there will be no more."""
        ...


class Keyboard:
    """Lines typed at a terminal. Waiting for one can be cancelled, unlike a blocking read.

    Args:
        fd: The terminal.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._typed = b""

    def forget(self) -> None:
        """Drop what was typed before anything was asked: nobody approves by a key that was pressed too early."""
        self._typed = b""
        termios.tcflush(self._fd, termios.TCIFLUSH)

    async def line(self) -> str | None:
        """The next line; ``None`` when the terminal is closed or Ctrl-D was pressed."""
        while b"\n" not in self._typed:
            await self._readable()
            try:
                piece = os.read(self._fd, 65536)
            except OSError:  # the terminal has hung up
                piece = b""
            if not piece:
                return None
            self._typed += piece
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace")

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self._fd, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._fd)


class Approver:
    """Asks about each waiting call of a run and sends the answer.

    Args:
        client: Where the answers go.
        view: Where the questions are shown.
        lines: What the person types.
        by: The person's name.
    """

    def __init__(self, client: AsyncClient, view: View, lines: Lines, by: str) -> None:
        self._client = client
        self._view = view
        self._lines = lines
        self._by = by
        self._job: asyncio.Task[None] | None = None
        self._settled: set[str] = set()
        self._asking: tuple[str, asyncio.Task[Decision | None]] | None = None

    def see(self, event: AnyEvent) -> None:
        """Ask when the run begins to wait; ask no longer about a call that somebody else has decided."""
        if isinstance(event, RunWaiting):
            self._job = asyncio.create_task(self._review(event.run_id, self._job))
        elif isinstance(event, ApprovalDecided | ApprovalExpired):
            self._settled.add(event.call_id)
            if self._asking and self._asking[0] == event.call_id:
                self._asking[1].cancel()

    async def aclose(self) -> None:
        """Ask nothing more."""
        if self._job:
            self._job.cancel()
            await asyncio.gather(self._job, return_exceptions=True)

    async def _review(self, run_id: str, before: asyncio.Task[None] | None) -> None:
        if before:
            await before
        try:
            # A log that is read again asks for what was decided long ago: only what waits now is asked about.
            run = await self._client.get_run(run_id)
            for call in run.pending_approvals:
                await self._review_call(run_id, call)
        except ClientError as error:
            self._view.say(f"could not ask for decisions: {error}", "red")

    async def _review_call(self, run_id: str, call: PendingApproval) -> None:
        if call.call_id in self._settled:
            return
        asking = asyncio.create_task(self._ask(call))
        self._asking = (call.call_id, asking)
        try:
            decision = await asking
        except asyncio.CancelledError:
            if call.call_id not in self._settled:
                asking.cancel()
                raise
            return
        finally:
            self._asking = None
        if decision:
            await self._send(run_id, decision)
        else:
            self._view.say(f"skipped: `longrun review approve {clean(call.call_id)}` and its sisters decide it later")

    async def _send(self, run_id: str, decision: Decision) -> None:
        try:
            await self._client.decide(decision, run_id)
        except ApiError as error:
            if error.status != _CONFLICT:
                raise
            first: dict[str, Any] = error.problem.get("decision") or {}
            name = f": {first['decision']} by {first['by']}" if first else ""
            self._view.say(f"another decision came first{name}", "yellow")

    async def _ask(self, call: PendingApproval) -> Decision | None:
        """The person's decision; ``None`` if they leave it open."""
        self._lines.forget()
        self._view.say(f"{call.name} {whole(call.arguments)}", "")
        if call.interrupted is not None:
            self._view.say(call.reason, "yellow")
        while (answer := await self._answer(_QUESTION)) is not None:
            verdict = _ANSWERS.get(answer.lower())
            if verdict == "skip":
                return None
            if verdict and (decision := await self._decision(call.call_id, verdict)):
                return decision
        return None

    async def _decision(self, call_id: str, verdict: Verdict) -> Decision | None:
        """The decision with what it needs; ``None`` to ask again."""
        decision = Decision(call_id=call_id, decision=verdict, by=self._by, id=str(uuid4()))
        if verdict == "deny":
            reason = await self._answer("the reason that the model is told (may be empty): ")
            return decision.model_copy(update={"reason": reason or None})
        if verdict == "edit":
            args = await self._arguments()
            return None if args is None else decision.model_copy(update={"args": args})
        if verdict == "answer":
            result = await self._answer("the result that the model gets: ")
            return None if result is None else decision.model_copy(update={"answer": result})
        return decision

    async def _arguments(self) -> dict[str, JsonValue] | None:
        """All arguments as a JSON object over one or more lines; an empty line goes back."""
        typed = ""
        while line := await self._answer("… " if typed else "all arguments as a JSON object (empty: back): "):
            typed += line + "\n"
            try:
                value: JsonValue = json.loads(typed)
            except ValueError:
                continue
            if isinstance(value, dict):
                return value
            self._view.say("that is JSON, but no object", "red")
            typed = ""
        if typed:
            self._view.say("that is not JSON", "red")
        return None

    async def _answer(self, question: str) -> str | None:
        self._view.ask(question)
        line = await self._lines.line()
        if line is None:
            return None
        self._view.answered()
        return line.strip()
