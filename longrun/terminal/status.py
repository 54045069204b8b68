"""How a run stands, for a terminal: its state, what it has cost, and who set about it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from longrun.terminal.wording import clean, counted, signature
from longrun.workflows.contract.attempts import AttemptEntry
from longrun.workflows.contract.messages import Usage
from longrun.workflows.contract.runs import FINAL, PendingApproval

_COLUMNS = ("step", "call", "attempt", "worker", "outcome", "recovered", "tokens", "seconds")


def standing(found: Mapping[str, Any]) -> RenderableType:
    """How a run stands.

    Args:
        found: The run, as ``GET /api/runs/{id}`` gives it.
    """
    lines = [Text(line) for line in _described(found)]
    attempts = [AttemptEntry.model_validate(each) for each in found["attempts"]]
    table = [_table(attempts)] if attempts else []
    return Group(*lines, *table, *(Text(line) for line in _outcome(found)))


def _described(found: Mapping[str, Any]) -> Iterator[str]:
    reason = f" ({found['stop_reason']})" if found["stop_reason"] else ""
    yield f"run {found['id']}: {found['status']}{reason}"
    yield f"agent {found['agent']['name']} ({found['agent']['model']}) · thread {found['thread_id']}"
    times = [f"{name} {found[f'{name}_at']}" for name in ("created", "started", "ended") if found[f"{name}_at"]]
    yield " · ".join(times)
    cost = f"billed: {found['tokens_billed']:,}, of these again: {found['tokens_rebilled']:,}"
    usage = counted(Usage.model_validate(found["usage"]))
    yield f"step {found['step']}, turn {found['turn']} · {usage}{f' · {cost}' if found['tokens_billed'] else ''}"
    for given in found["pending_approvals"]:
        call = PendingApproval.model_validate(given)
        yield f"waits for {signature(call.name, call.arguments)} · call {clean(call.call_id)}"


def _outcome(found: Mapping[str, Any]) -> Iterator[str]:
    if found["error"]:
        yield clean(f"{found['error']['type']}: {found['error']['message']}")
    if found["status"] in FINAL and found["output"]:
        yield clean(found["output"])


def _table(attempts: Sequence[AttemptEntry]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name in ("tokens", "seconds") else "left", overflow="fold")
    for attempt in attempts:
        table.add_row(*map(Text, _row(attempt)))
    return table


def _row(attempt: AttemptEntry) -> tuple[str, ...]:
    """One attempt; a call of a model stands by the model's name."""
    took = (attempt.ended_at - attempt.started_at).total_seconds() if attempt.ended_at else None
    return (
        str(attempt.step),
        clean(attempt.call_id or attempt.provider or "model"),
        str(attempt.attempt),
        clean(attempt.worker),
        attempt.outcome or "under way",
        "" if attempt.recovered == "none" else attempt.recovered,
        _tokens(attempt),
        "" if took is None else f"{took:.1f}",
    )


def _tokens(attempt: AttemptEntry) -> str:
    """Tokens in and out; ``~`` before what is estimated."""
    if attempt.tokens_in is None and attempt.tokens_out is None:
        return ""
    counts = "+".join("?" if count is None else f"{count:,}" for count in (attempt.tokens_in, attempt.tokens_out))
    return f"~{counts}" if attempt.estimated else counts
