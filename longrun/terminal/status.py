"""A run for a terminal: its status, its cost and its attempts."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from longrun.terminal.wording import clean, counted, signature
from longrun.workflows.contract.attempts import AttemptEntry
from longrun.workflows.contract.runs import FINAL
from longrun.workflows.contract.views import RunDetails

_COLUMNS = ("step", "call", "attempt", "worker", "outcome", "recovered", "tokens", "seconds")


def summary(run: RunDetails) -> RenderableType:
    """The state of a run, its attempts and its result."""
    lines = [Text(line) for line in _described(run)]
    table = [_table(run.attempts)] if run.attempts else []
    return Group(*lines, *table, *(Text(line) for line in _outcome(run)))


def _described(run: RunDetails) -> Iterator[str]:
    reason = f" ({run.stop_reason})" if run.stop_reason else ""
    yield f"run {run.id}: {run.status}{reason}"
    yield f"agent {run.agent.name} ({run.agent.model}) · thread {run.thread_id}"
    times = (("created", run.created_at), ("started", run.started_at), ("ended", run.ended_at))
    yield " · ".join(f"{name} {at.isoformat().replace('+00:00', 'Z')}" for name, at in times if at)
    cost = f" · billed: {run.tokens_billed:,}, of these again: {run.tokens_rebilled:,}" if run.tokens_billed else ""
    yield f"step {run.step}, turn {run.turn} · {counted(run.usage)}{cost}"
    for call in run.pending_approvals:
        yield f"waits for {signature(call.name, call.arguments)} · call {clean(call.call_id)}"


def _outcome(run: RunDetails) -> Iterator[str]:
    if run.error:
        yield clean(f"{run.error.type}: {run.error.message}")
    if run.status in FINAL and run.output:
        yield clean(run.output)


def _table(attempts: Sequence[AttemptEntry]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name in ("tokens", "seconds") else "left", overflow="fold")
    for attempt in attempts:
        table.add_row(*map(Text, _row(attempt)))
    return table


def _row(attempt: AttemptEntry) -> tuple[str, ...]:
    """One attempt; a model call is shown by the model's name."""
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
    """Tokens in and out, after ``~`` if they are estimated."""
    if attempt.tokens_in is None and attempt.tokens_out is None:
        return ""
    counts = "+".join("?" if count is None else f"{count:,}" for count in (attempt.tokens_in, attempt.tokens_out))
    return f"~{counts}" if attempt.estimated else counts
