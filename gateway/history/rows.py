"""A run's rows, as the store would have them, from what its history kept."""

from collections.abc import Iterator
from itertools import chain

from pydantic import TypeAdapter

from longrun.gateway.history.results import Results
from longrun.store.attempts import row_of
from longrun.store.db.tables import ApprovalRow, CallRow, MessageRow, RunRow, StepRow, TurnRow
from longrun.store.messages import answer_place
from longrun.store.repair.restore import RunRows
from longrun.store.repair.rewind import dump_reopenings
from longrun.workflows import record
from longrun.workflows.contract.attempts import AttemptEntry
from longrun.workflows.contract.messages import Message, ToolResultPart
from longrun.workflows.contract.runs import Decision, RunOrder
from longrun.workflows.contract.steps import OpenStep, Recorded, StepBegin, Superseded, ToolOutcome

_GONE: TypeAdapter[tuple[Superseded, ...]] = TypeAdapter(tuple[Superseded, ...])
_ASKED = ("none", "reissued")
_DECIDED = {"approve": "approved", "deny": "denied", "edit": "edited", "answer": "answered"}


def rows_of(results: Results, order: RunOrder) -> RunRows:
    """All rows of the run but its segments. What history does not know is its idempotency key."""
    outcomes = dict(results.outcomes)
    outcomes.update({outcome.call_id: outcome for outcome in results.finished.closed} if results.finished else {})
    return RunRows(
        run=_run(results, order),
        turns=_turns(results),
        messages=_messages(results, order, outcomes),
        steps=_steps(results),
        calls=_calls(results, outcomes),
        approvals=list(_approvals(results).values()),
        attempts=[row_of(order.run_id, entry) for entry in _attempts(results, outcomes)],
    )


def _attempts(results: Results, outcomes: dict[str, ToolOutcome]) -> Iterator[AttemptEntry]:
    for known in (*results.replies.values(), *_open_steps(results), *outcomes.values()):
        yield from known.attempts


def _begun(results: Results) -> dict[int, StepBegin]:
    begun = {step: reply.begin for step, reply in results.replies.items()}
    return begun | {left.step: left.begin for left in _open_steps(results)}


def _open_steps(results: Results) -> tuple[OpenStep, ...]:
    return results.finished.open_steps if results.finished else ()


def _run(results: Results, order: RunOrder) -> RunRow:
    begun = _begun(results)
    row = RunRow(
        id=order.run_id,
        thread_id=order.thread_id,
        place=0,
        agent=order.agent.name,
        status="waiting" if results.waiting else "running" if begun else "queued",
        dispatched=True,
        step=max(begun, default=0),
        turn=1 + len(results.resumed),
        executions=" ".join(results.executions) or None,
        reopened=dump_reopenings(results.resets),
        order=order.model_dump_json(exclude_none=True),
        created_at=order.accepted_at,
        started_at=begun[1].stamp.at if 1 in begun else None,
    )
    if results.pauses:
        row.usage = results.pauses[max(results.pauses)].pause.usage.model_dump_json(exclude_none=True)
    if results.finished:
        finish = results.finished.finish
        row.status, row.stop_reason = finish.outcome.status, finish.outcome.stop_reason
        row.usage = finish.usage.model_dump_json(exclude_none=True)
        row.output, row.finished = results.output, results.finished.model_dump_json()
        row.ended_at = results.finished.stamp.at
    return row


def _turns(results: Results) -> list[TurnRow]:
    turns = {1: TurnRow(run_id=results.run_id, turn=1, turn_id=results.run_id, first_seq=1)}
    for recorded in results.resumed:
        turn = recorded.verdicts.turn + 1
        turn_id = record.turn_id(results.run_id, turn, recorded.stamp.at)
        turns[turn] = TurnRow(
            run_id=results.run_id, turn=turn, turn_id=turn_id, first_seq=record.decided(recorded)[-1].seq
        )
    for paused in results.pauses.values():
        turn = turns[paused.pause.turn]
        turn.last_seq, turn.stop_reason = record.paused(paused, turn.turn_id)[-1].seq, "requires_approval"
    if results.finished:
        turn = turns[results.finished.finish.turn]
        turn.stop_reason = results.finished.finish.outcome.stop_reason
        turn.last_seq = record.finished(results.finished, turn.turn_id, "", {})[-1].seq
    return list(turns.values())


def _messages(results: Results, order: RunOrder, outcomes: dict[str, ToolOutcome]) -> list[MessageRow]:
    run_id = order.run_id
    rows = [_message(run_id, (0, 0), order.input)]
    for step, begin in _begun(results).items():
        for place, said in enumerate(begin.said):
            rows.append(_message(run_id, (step, place), record.said_message(run_id, step, place, said)))
    for step, reply in results.replies.items():
        place = answer_place(len(reply.begin.said))
        rows.append(_message(run_id, (step, place), reply.message))
        for index, part in enumerate(reply.message.calls):
            if outcome := outcomes.get(part.call_id):
                rows.append(_message(run_id, (step, place + 1 + index), _result(run_id, outcome)))
    return rows


def _message(run_id: str, at: tuple[int, int], message: Message) -> MessageRow:
    body = message.model_dump_json(exclude_none=True)
    return MessageRow(run_id=run_id, step=at[0], place=at[1], role=message.role, body=body)


def _result(run_id: str, outcome: ToolOutcome) -> Message:
    part = ToolResultPart.model_validate(outcome.model_dump(include={"call_id", "name", "content", "status", "whole"}))
    return Message(id=f"{run_id}:{outcome.call_id}", role="tool", parts=(part,))


def _steps(results: Results) -> list[StepRow]:
    rows = [
        StepRow(
            run_id=results.run_id,
            step=step,
            attempt=max((entry.attempt for entry in reply.attempts), default=reply.attempt),
            asked=reply.attempt,
            worker=next((entry.worker for entry in reply.attempts), results.queue),
            begin=reply.begin.model_dump_json(),
            superseded=_GONE.dump_json(reply.superseded).decode(),
            reply=reply.model_dump_json(exclude={"message"}),
        )
        for step, reply in results.replies.items()
    ]
    for left in _open_steps(results):
        # Ending the run took the fence of the last attempt; one that wrote nothing left no trace to count.
        tried = max((entry.attempt for entry in left.attempts), default=1)
        fence = 1 + max((gone.attempt for gone in left.superseded), default=tried)
        rows.append(
            StepRow(
                run_id=results.run_id,
                step=left.step,
                attempt=max(fence, tried + 1),
                asked=max((e.attempt for e in left.attempts if e.recovered in _ASKED), default=tried),
                worker=next((entry.worker for entry in left.attempts), results.queue),
                begin=left.begin.model_dump_json(),
                superseded=_GONE.dump_json(left.superseded).decode(),
            )
        )
    return rows


def _calls(results: Results, outcomes: dict[str, ToolOutcome]) -> list[CallRow]:
    rows: list[CallRow] = []
    for step, reply in results.replies.items():
        place = answer_place(len(reply.begin.said)) + 1
        for index, part in enumerate(reply.message.calls):
            row = CallRow(
                run_id=results.run_id,
                call_id=part.call_id,
                step=step,
                place=place + index,
                name=part.name,
                arguments=part.arguments,
            )
            rows.append(row)
            if outcome := outcomes.get(part.call_id):
                _close(row, outcome, results.queue)
            elif part.call_id in results.asked:
                # It may have begun: then it counts as interrupted.
                row.attempt, row.worker = results.asked[part.call_id], results.queue
    return rows


def _close(row: CallRow, outcome: ToolOutcome, queue: str) -> None:
    row.outcome, row.attempt, row.edited = outcome.model_dump_json(), outcome.attempt, outcome.arguments
    if outcome.started:
        row.started = outcome.started.model_dump_json()
        row.worker = next((entry.worker for entry in reversed(outcome.attempts)), queue)


def _approvals(results: Results) -> dict[str, ApprovalRow]:
    rows: dict[str, ApprovalRow] = {}
    happened = chain(results.pauses.values(), results.verdicts.values())
    for thing in sorted(happened, key=lambda thing: thing.stamp.first):
        if isinstance(thing, Recorded):
            _decide(rows, thing)
            continue
        for call in thing.pause.calls:
            rows[call.call_id] = ApprovalRow(
                **call.model_dump(),
                run_id=results.run_id,
                turn=thing.pause.turn,
                requested_at=thing.stamp.at,
                expires_at=thing.pause.expires_at,
            )
    if results.finished and results.waiting:
        for row in rows.values():
            if row.status == "pending":
                row.status, row.decided_at = "cancelled", results.finished.stamp.at
    return rows


def _decide(rows: dict[str, ApprovalRow], recorded: Recorded) -> None:
    words: list[tuple[str, Decision | None]] = [(word.call_id, word) for word in recorded.verdicts.decisions]
    words += [(call_id, None) for call_id in recorded.verdicts.expired]
    for call_id, word in words:
        row = rows[call_id]
        row.status = _DECIDED[word.decision] if word else "expired"
        row.decision = word.model_dump_json(exclude_none=True) if word else None
        row.decided_at = recorded.stamp.at
