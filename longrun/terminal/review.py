"""The commands ``longrun review …``: the calls that wait for a reviewer, and the reviewer's decisions."""

import asyncio
import json
from typing import Annotated
from uuid import uuid4

import typer
from rich.console import Console
from rich.text import Text

from longrun.gateway.service.reviews import Reviews, Ruling, Waiting
from longrun.terminal.prompt import os_user
from longrun.terminal.wording import clean, signature, whole
from longrun.workflows.contract.runs import Decision, PendingApproval, Snapshot

_HOW = "decide by `longrun review approve CALL`, `deny CALL --reason …`, `edit CALL --args …` or `answer CALL --text …`"

app = typer.Typer(help="List the calls that wait for a person, and decide them by signal.")

Call = Annotated[str, typer.Argument(metavar="CALL", help="The call's id.")]
Run = Annotated[str | None, typer.Option("--run", help="The run that asks; else it is looked for.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides; by default the user of this system.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback(invoke_without_command=True)
def list_waiting(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the calls that wait for a person, and decide them by signal: it works without the gateway."""
    if context.invoked_subcommand is None:
        asyncio.run(_list(as_json=as_json))


@app.command("show")
def show(run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]) -> None:
    """Show the calls of a run that wait, with all their arguments."""
    asyncio.run(_show(run))


@app.command("approve")
def approve(call: Call, *, run: Run = None, by: By = None) -> None:
    """Approve a call as the model wrote it."""
    _decide(_decision(call, by, {"decision": "approve"}), run)


@app.command("deny")
def deny(
    call: Call,
    *,
    reason: Annotated[str | None, typer.Option(help="Why; the model is told.")] = None,
    run: Run = None,
    by: By = None,
) -> None:
    """Do not let a call run, and tell the model why."""
    _decide(_decision(call, by, {"decision": "deny", "reason": reason}), run)


@app.command("edit")
def edit(
    call: Call,
    *,
    args: Annotated[str, typer.Option(help="All arguments, as a JSON object.")],
    run: Run = None,
    by: By = None,
) -> None:
    """Approve a call with other arguments."""
    try:
        value = json.loads(args)
    except ValueError as error:
        raise typer.BadParameter(f"is not JSON: {error}", param_hint="--args") from error
    if not isinstance(value, dict):
        raise typer.BadParameter("is JSON, but no object", param_hint="--args")
    _decide(_decision(call, by, {"decision": "edit", "args": value}), run)


@app.command("answer")
def answer(
    call: Call,
    *,
    text: Annotated[str, typer.Option(help="What the model gets as the call's result.")],
    run: Run = None,
    by: By = None,
) -> None:
    """Answer a call in the tool's place."""
    _decide(_decision(call, by, {"decision": "answer", "answer": text}), run)


def _decision(call_id: str, by: str | None, given: dict[str, object]) -> Decision:
    return Decision.model_validate({**given, "call_id": call_id, "by": by or os_user(), "id": str(uuid4())})


def _decide(decision: Decision, run_id: str | None) -> None:
    raise typer.Exit(asyncio.run(_decided(decision, run_id)))


async def _decided(decision: Decision, run_id: str | None) -> int:
    reviews = await Reviews.connect()
    asking = run_id or await reviews.run_waiting_for(decision.call_id)
    ruling = await reviews.decide(asking, decision)
    _print(_ruling_text(ruling, asking))
    return 1 if ruling.kind == "late" else 0


def _ruling_text(ruling: Ruling, run_id: str) -> str:
    """What became of a decision, for a person."""
    if ruling.kind == "counts":
        return f"done: run {run_id} follows this decision"
    if ruling.kind == "kept":
        return f"run {run_id} has not asked for this call yet; the decision is kept until it does"
    if ruling.kind == "unconfirmed":
        return f"run {run_id} has the decision, but no worker says yet whether it is the first"
    if ruling.first is None:
        return "too late: the time for a decision has run out"
    reason = f" ({clean(ruling.first.reason)})" if ruling.first.reason else ""
    return f"too late: another decision came first: {ruling.first.decision} by {clean(ruling.first.by)}{reason}"


async def _list(*, as_json: bool) -> None:
    waiting = await (await Reviews.connect()).waiting()
    if as_json:
        _print(json.dumps([_as_dict(each, call) for each in waiting for call in each.open]))
        return
    for each in waiting:
        _print(_described(each))
    _print(_HOW if waiting else "no run waits for a person")


def _as_dict(waiting: Waiting, call: PendingApproval) -> dict[str, object]:
    expires_at = waiting.snapshot.expires_at if waiting.snapshot else None
    about = {"run_id": waiting.run_id, "agent": waiting.agent}
    return {**about, **call.model_dump(mode="json"), "expires_at": expires_at.isoformat() if expires_at else None}


def _described(waiting: Waiting) -> str:
    """A waiting run and its calls, one below the other."""
    if waiting.snapshot is None:
        return f"run {waiting.run_id} · {waiting.agent}: no worker answers for it"
    lines = [f"run {waiting.run_id} · {waiting.agent}{_until(waiting.snapshot)}"]
    for call in waiting.open:
        lines += [f"  {signature(call.name, call.arguments)}", f"    call {clean(call.call_id)} · {clean(call.reason)}"]
    return "\n".join(lines)


def _until(snapshot: Snapshot) -> str:
    return f" · until {snapshot.expires_at:%Y-%m-%d %H:%M} UTC" if snapshot.expires_at else ""


async def _show(run_id: str) -> None:
    snapshot = await (await Reviews.connect()).of_run(run_id)
    _print(f"run {run_id} · {snapshot.phase}, step {snapshot.step}{_until(snapshot)}")
    decided = {decision.call_id: decision for decision in snapshot.decided}
    for call in snapshot.pending:
        verdict = decided.get(call.call_id)
        state = f"{verdict.decision} by {clean(verdict.by)}" if verdict else "waits"
        _print(f"call {clean(call.call_id)} · {state} · {clean(call.reason)}\n{call.name} {whole(call.arguments)}")
    _print(_HOW if snapshot.pending else "it waits for nobody")


def _print(text: str) -> None:
    Console(highlight=False).print(Text(text), soft_wrap=True)
