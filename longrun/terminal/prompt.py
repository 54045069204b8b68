"""Asks a person at the terminal to decide the waiting calls of a run, while the run's events are printed."""

import asyncio
import getpass
import json
import os
from typing import Any, Literal
from uuid import uuid4

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
    """The name of the user of this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


async def ask(question: str, default: str = "", *, as_object: bool = False) -> str | None:
    """Ask the person at this terminal for a line; ``None`` if there is none.

    Args:
        question: What stands before the line.
        default: A text to edit.
        as_object: Whether only a JSON object, or nothing, is taken.
    """
    from longrun.terminal.line_editor import edit_line  # noqa: PLC0415 - no other command is to wait for prompt_toolkit

    line = await edit_line(question, default, as_object=as_object)
    return None if line is None else line.strip()


class Approver:
    """Asks about each waiting call of a run and sends the decision.

    Args:
        client: The client that sends the decisions.
        view: The view that shows the calls.
        by: The person's name.
    """

    def __init__(self, client: AsyncClient, view: View, by: str) -> None:
        self._client = client
        self._view = view
        self._by = by
        self._job: asyncio.Task[None] | None = None
        self._settled: set[str] = set()
        self._asking: tuple[str, asyncio.Task[Decision | None]] | None = None

    def see(self, event: AnyEvent) -> None:
        """Ask when the run starts to wait; withdraw the question about a call that somebody else has decided."""
        if isinstance(event, RunWaiting):
            self._job = asyncio.create_task(self._review(event.run_id, self._job))
        elif isinstance(event, ApprovalDecided | ApprovalExpired):
            self._settled.add(event.call_id)
            if self._asking and self._asking[0] == event.call_id:
                self._asking[1].cancel()

    async def aclose(self) -> None:
        """Withdraw the question, if there is one."""
        if self._job:
            self._job.cancel()
            await asyncio.gather(self._job, return_exceptions=True)

    async def _review(self, run_id: str, before: asyncio.Task[None] | None) -> None:
        if before:
            await before
        try:
            # The log may be an old one, whose calls were decided long ago: only calls that wait now are asked about.
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
        self._view.pause()
        self._view.say(f"{call.name} {whole(call.arguments)}", "")
        if call.interrupted is not None:
            self._view.say(call.reason, "yellow")
        while (answer := await ask(_QUESTION)) is not None:
            verdict = _ANSWERS.get(answer.lower())
            if verdict == "skip":
                return None
            if verdict and (decision := await self._decision(call, verdict)):
                return decision
        return None

    async def _decision(self, call: PendingApproval, verdict: Verdict) -> Decision | None:
        """The decision with what it needs; ``None`` to ask again."""
        needs: dict[str, object] = {}
        if verdict == "deny":
            needs["reason"] = await ask("the reason that the model is told (may be empty): ") or None
        elif verdict == "edit":
            typed = await ask("all arguments as a JSON object (empty: back): ", call.arguments, as_object=True)
            if not typed:
                return None
            needs["args"] = json.loads(typed)
        elif verdict == "answer":
            needs["answer"] = await ask("the result that the model gets: ")
            if needs["answer"] is None:
                return None
        given = {"call_id": call.call_id, "decision": verdict, "by": self._by, "id": str(uuid4())}
        return Decision.model_validate({**given, **needs})
