"""A run's log from what its history kept."""

from collections.abc import Iterator
from dataclasses import dataclass

from longrun.gateway.history.results import Results
from longrun.gateway.history.rows import rows_of
from longrun.store.repair.restore import RunRows
from longrun.workflows import record
from longrun.workflows.contract.events import Event, encode, number
from longrun.workflows.contract.messages import Usage


@dataclass(frozen=True)
class Rebuilt:
    """A run as its history tells it.

    ``lines`` are the events that stand, by seq, numbered and serialized. Up to ``last_seq`` the log is complete: a
    place without a line there held text that was superseded and is gone. Beyond it there may be lines already whose
    predecessors are still to come. ``execution`` is the newest execution of its chain. ``final`` says that the
    run's last event is among them.
    """

    run_id: str
    execution: str
    lines: dict[int, bytes]
    last_seq: int
    final: bool
    usage: Usage
    rows: RunRows


def rebuilt_from(results: Results) -> Rebuilt | None:
    """The run, or ``None`` if the beginning of its history is gone."""
    if results.order is None:
        return None
    lines = {event.seq: number(event.seq, encode(event)) for event in _events(results)}
    last = results.settled
    while last + 1 in lines:
        last += 1
    return Rebuilt(
        run_id=results.run_id,
        execution=results.executions[-1] if results.executions else "",
        lines=lines,
        last_seq=last,
        final=results.finished is not None,
        usage=sum((reply.usage for reply in results.replies.values()), Usage()),
        rows=rows_of(results, results.order),
    )


def _events(results: Results) -> Iterator[Event]:
    run_id, arguments = results.run_id, results.arguments
    if results.order:
        yield record.started(results.order).model_copy(update={"seq": 1})
    for step, reply in results.replies.items():
        yield from record.replied(run_id, step, reply)
    for outcome in results.outcomes.values():
        yield from record.called(run_id, outcome, arguments.get(outcome.call_id, ""))
    turns = turn_ids(results)
    for paused in results.pauses.values():
        yield from record.paused(paused, turns[paused.pause.turn])
    for recorded in results.verdicts.values():
        yield from record.decided(recorded)
    for gone in results.resets:
        yield record.reopened(run_id, gone).model_copy(update={"seq": gone.notice.first})
    if results.finished:
        yield from record.finished(results.finished, turns[results.finished.finish.turn], results.output, arguments)


def turn_ids(results: Results) -> dict[int, str]:
    """The public id of each turn that has begun."""
    ids = {1: results.run_id}
    for recorded in results.resumed:
        turn = recorded.verdicts.turn + 1
        ids[turn] = record.turn_id(results.run_id, turn, recorded.stamp.at)
    return ids
