"""The seqs of a result's events: from its stamp or, of a model's reply, from its spans."""

from collections.abc import Iterator

from longrun.workflows import record
from longrun.workflows.contract.events import Event
from longrun.workflows.contract.results import CallStarted, Finished, ModelReply, OpenStep, Result, ToolOutcome


def unfolded(result: Result | OpenStep) -> Iterator[Result]:
    """A result and those that it carries along, in the order of their events; each with events of its own."""
    if isinstance(result, ModelReply | OpenStep):
        yield result.opened
        yield from result.notices
    elif isinstance(result, ToolOutcome) and result.started:
        yield CallStarted(
            step=result.step,
            call_id=result.call_id,
            name=result.name,
            arguments=result.arguments,
            stamp=result.started,
        )
        yield from result.progress
    elif isinstance(result, Finished):
        for carried in (*result.unacknowledged, *result.open_steps, *result.closed):
            yield from unfolded(carried)
    if not isinstance(result, OpenStep):
        yield result


def first_seq(result: Result) -> int:
    """The position of a result's first event."""
    if not isinstance(result, ModelReply):
        return result.stamp.first
    return result.spans[-1].last if result.kept else result.spans[0].first


def last_seq(result: Result, run_id: str) -> int:
    """The position of a result's last event."""
    return seqs(result, len(record.events(result, run_id)))[-1]


def seqs(result: Result, count: int) -> list[int]:
    """The positions of a result's ``count`` events."""
    if isinstance(result, ModelReply) and not result.kept:
        return [seq for span in result.spans for seq in range(span.first, span.last + 1)]
    return list(range(first_seq(result), first_seq(result) + count))


def numbered(result: Result, run_id: str, text: str = "") -> list[Event]:
    """The events of a result at their positions; the arguments are those of ``record.events``."""
    found = record.events(result, run_id, text)
    return [event.model_copy(update={"seq": seq}) for seq, event in zip(seqs(result, len(found)), found, strict=True)]
