"""A run's log from what its history kept."""

from collections.abc import Iterator

from longrun.gateway.history.results import Results
from longrun.store.repair.restore import RunHistory
from longrun.workflows import positions, record
from longrun.workflows.contract.events import Event, encode, number
from longrun.workflows.contract.results import CallStarted, ModelReply
from longrun.workflows.contract.runs import RunOrder


def history_from(results: Results) -> RunHistory | None:
    """The run, or ``None`` if the beginning of its history is not kept any more."""
    if results.order is None:
        return None
    lines = {event.seq: number(event.seq, encode(event)) for event in _events(results, results.order)}
    last = results.settled
    while last + 1 in lines:
        last += 1
    return RunHistory(
        order=results.order,
        executions=results.executions,
        results=results.all,
        scheduled={call_id: attempt for call_id, attempt in results.scheduled.items() if isinstance(call_id, str)},
        lines=lines,
        last_seq=last,
    )


def _events(results: Results, order: RunOrder) -> Iterator[Event]:
    yield record.accepted(order).model_copy(update={"seq": 1})
    replies = results.of(ModelReply)
    arguments = {call.call_id: call.arguments for reply in replies for call in reply.message.calls}
    output = replies[-1].message.text if replies else ""
    for result in results.all:
        text = arguments.get(result.call_id, "") if isinstance(result, CallStarted) else output
        yield from positions.numbered(result, results.run_id, text)
