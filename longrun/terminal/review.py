"""What ``longrun review …`` prints and does: the calls that wait for a reviewer, and the reviewer's decisions."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import aclosing
from uuid import uuid4

from rich.console import Console
from rich.text import Text

from longrun.client import ApiError, AsyncClient, ClientError, RetryPolicy
from longrun.gateway.service.reviews import ReviewError, Reviews, Ruling, UnknownRunWaitingError, Waiting
from longrun.runtime.settings import Settings
from longrun.terminal.prompt import os_user
from longrun.terminal.wording import clean, signature, whole
from longrun.workflows.contract.agents import ToolSpec
from longrun.workflows.contract.runs import Decision, PendingApproval, Snapshot
from longrun.workflows.contract.views import ApprovalView

_CONFLICT = 409
_HOW = "decide by `longrun review approve CALL`, `deny CALL --reason …`, `edit CALL --args …` or `answer CALL --text …`"


async def decide(call_id: str, run_id: str | None, by: str | None, given: Mapping[str, object]) -> int:
    """Decide a call by signal, and say what became of the decision; 1 if another one came first.

    Args:
        call_id: The call.
        run_id: The run that asks for it; ``None`` to look for it.
        by: Who decides; ``None`` for the user of this system.
        given: The verdict, and what it needs.

    Raises:
        ReviewError: No run asks for the call, its run has ended, or the tool does not take the arguments.
        TemporalUnavailableError: Temporal did not answer.
    """
    about = {"call_id": call_id, "by": by or os_user(), "id": str(uuid4())}
    decision = Decision.model_validate({**given, **about})
    reviews = await Reviews.connect()
    try:
        asking = run_id or await reviews.run_waiting_for(call_id)
    except UnknownRunWaitingError as error:
        asking, ruling = await _decided_over_http(decision, error)
    else:
        if decision.args is not None:
            await _check_edit(reviews, asking, decision)
        ruling = await reviews.decide(asking, decision)
    _print(_ruling_text(ruling, asking))
    return 1 if ruling.kind == "late" else 0


async def _check_edit(reviews: Reviews, run_id: str, decision: Decision) -> None:
    """Check a reviewer's arguments, where the store is at hand: only the first decision of a call counts.

    Raises:
        ReviewError: The tool does not take them.
    """
    # Only an edit waits for all this, and for the database, to be loaded.
    from longrun.gateway.service.edits import check_arguments  # noqa: PLC0415
    from longrun.gateway.service.errors import InvalidEditError  # noqa: PLC0415

    snapshot = await reviews.of_run(run_id)
    names = {call.name for call in snapshot.pending if call.call_id == decision.call_id}
    try:
        for tool in await _tools(Settings()):
            if tool.name in names:
                check_arguments(tool, decision.args)
    except InvalidEditError as error:
        raise ReviewError(f"{error.field}: {error}") from error


async def _tools(settings: Settings) -> list[ToolSpec]:
    """The tools that workers offer; none where there is no store here, or it does not answer."""
    from longrun.store.agents import Agents  # noqa: PLC0415
    from longrun.store.db.database import Database, StoreUnavailableError  # noqa: PLC0415
    from longrun.store.db.schema import state  # noqa: PLC0415

    try:
        if await asyncio.to_thread(state, settings.database) in ("missing", "empty"):
            return []
        async with aclosing(Database(settings.database)) as database:
            return await Agents(database).tools()
    except StoreUnavailableError:
        return []


async def _decided_over_http(decision: Decision, error: ReviewError) -> tuple[str, Ruling]:
    """Let the gateway decide a call that no run waits for as far as Temporal's list says: it knows the others too.

    Raises:
        ReviewError: The gateway does not know the call either, or does not answer.
    """
    async with AsyncClient(retry=RetryPolicy(attempts=1)) as client:
        try:
            answer = await client.decide(decision)
        except ApiError as refused:
            if refused.status != _CONFLICT:
                raise error from refused
            first = refused.problem.get("decision")
            return "", Ruling(
                "late", Decision.model_validate({**first, "call_id": decision.call_id}) if first else None
            )
        except ClientError:
            raise error from None
    return answer.run_id, Ruling("counts" if isinstance(answer, ApprovalView) else "unconfirmed")


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


async def list_waiting(*, as_json: bool) -> None:
    """Print the calls that wait for a person.

    Raises:
        TemporalUnavailableError: Temporal did not answer.
    """
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


async def show(run_id: str) -> None:
    """Print the calls of a run that wait, with all their arguments.

    Raises:
        ReviewError: There is no such run, or no worker answers for it.
        TemporalUnavailableError: Temporal did not answer.
    """
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
