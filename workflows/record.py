"""Which events each thing that happens to a run leaves in its log.

The live writer asks here before it writes, and the rebuild asks here with what history kept; so both tell one story.
Functions that take a result which holds its places (``Stamp``, ``Span``) return numbered events; the others return
events that still wait for their place.
"""

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime

from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.events import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalRequested,
    AttemptSuperseded,
    Event,
    MessageCompleted,
    MessageReceived,
    RunAccepted,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunResumed,
    RunWaiting,
    StepStarted,
    ToolCompleted,
    ToolProgress,
    ToolStarted,
    TurnEnded,
)
from longrun.workflows.contract.messages import Message, TextPart
from longrun.workflows.contract.runs import Cancel, RunOrder, Said
from longrun.workflows.contract.steps import (
    Finish,
    Finished,
    ModelReply,
    OpenStep,
    Pause,
    Paused,
    Progress,
    Recorded,
    Reopened,
    Span,
    StepBegin,
    Superseded,
    ToolOutcome,
    Verdicts,
)
from longrun.workflows.deltas import Attempt, played


def turn_id(run_id: str, turn: int, at: datetime) -> str:
    """The public id of a turn: the run's own for the first, else a UUIDv7 that says when the turn began."""
    if turn == 1:
        return run_id
    digest = int.from_bytes(hashlib.sha256(f"{run_id}:{turn}".encode()).digest()[:10], "big")
    millis = int(at.timestamp() * 1000)
    value = (millis << 80) | (digest & ~(0xF << 76) & ~(0x3 << 62)) | (0x7 << 76) | (0x2 << 62)
    return str(uuid.UUID(int=value))


def started(order: RunOrder) -> RunAccepted:
    """The run's first event."""
    return RunAccepted(
        run_id=order.run_id,
        at=order.accepted_at,
        thread_id=order.thread_id,
        agent=order.agent,
        input=order.input,
        limits=order.limits,
        metadata=order.metadata,
    )


def said_message(run_id: str, step: int, place: int, said: Said) -> Message:
    """The user message that a ``say`` becomes."""
    name = said.id or f"{run_id}:{step}:{place}"
    digest = hashlib.sha256(f"{run_id}:{name}".encode()).digest()[:16]
    return Message(id=str(uuid.UUID(bytes=digest, version=4)), role="user", parts=(TextPart(text=said.text),))


def begun(run_id: str, step: int, begin: StepBegin) -> list[Event]:
    """What a step's first attempt writes before it asks the model."""
    at = begin.stamp.at
    received: list[Event] = [
        MessageReceived(run_id=run_id, step=step, at=at, message=said_message(run_id, step, place, said), by=said.by)
        for place, said in enumerate(begin.said)
    ]
    return [*received, StepStarted(run_id=run_id, step=step, attempt=begin.attempt, at=at, model=begin.model)]


def superseded(run_id: str, step: int, gone: Superseded) -> AttemptSuperseded:
    """The notice that an attempt's deltas no longer stand."""
    return AttemptSuperseded(
        run_id=run_id, step=step, attempt=gone.attempt, at=gone.notice.at, first=gone.first, last=gone.last
    )


def reopened(run_id: str, gone: Reopened) -> RunResumed:
    """The notice that a reset took back a part of the log, and that the run goes on."""
    return RunResumed(
        run_id=run_id, at=gone.notice.at, turn=gone.turn, turn_id=gone.turn_id, first=gone.first, last=gone.last
    )


def message_completed(run_id: str, step: int, reply: ModelReply) -> MessageCompleted:
    """The event that closes a message."""
    return MessageCompleted(
        run_id=run_id,
        step=step,
        attempt=reply.attempt,
        at=reply.completed_at,
        message_id=reply.message.id,
        finish_reason=reply.finish_reason,
        usage=reply.usage,
    )


def _placed(seqs: Iterable[int], events: Iterable[Event]) -> list[Event]:
    return [event.model_copy(update={"seq": seq}) for seq, event in zip(seqs, events, strict=True)]


def _run_of(first: int, events: Sequence[Event]) -> list[Event]:
    return _placed(range(first, first + len(events)), events)


def _seqs(spans: Iterable[Span]) -> list[int]:
    return [seq for span in spans for seq in range(span.first, span.last + 1)]


def opened(run_id: str, step: OpenStep) -> list[Event]:
    """What a step without a message left: its beginning and the notices that nothing after it stands."""
    notices = [superseded(run_id, step.step, gone) for gone in step.superseded]
    placed = [e.model_copy(update={"seq": g.notice.first}) for e, g in zip(notices, step.superseded, strict=True)]
    return [*_run_of(step.begin.stamp.first, begun(run_id, step.step, step.begin)), *placed]


def replied(run_id: str, step: int, reply: ModelReply) -> list[Event]:
    """All that a step left, in order of its places."""
    attempt = Attempt(run_id, step, reply.attempt, reply.attempt_at, reply.message.id)
    events = [*played(attempt, reply.message, reply.marks), message_completed(run_id, step, reply)]
    before = opened(run_id, OpenStep(step=step, begin=reply.begin, superseded=reply.superseded))
    return [*before, *_placed(_seqs(reply.spans), events)]


def tool_started(run_id: str, outcome: ToolOutcome, arguments: str, at: datetime) -> ToolStarted:
    """A tool begins to run, with ``arguments``."""
    return ToolStarted(
        run_id=run_id,
        step=outcome.step,
        attempt=1,
        at=at,
        call_id=outcome.call_id,
        name=outcome.name,
        arguments=arguments,
    )


def tool_progress(run_id: str, step: int, call_id: str, progress: Progress) -> ToolProgress:
    """A tool reports."""
    return ToolProgress(
        run_id=run_id,
        step=step,
        attempt=progress.attempt,
        at=progress.stamp.at,
        call_id=call_id,
        data=progress.data,
    )


def tool_completed(run_id: str, outcome: ToolOutcome) -> ToolCompleted:
    """A call has its result."""
    return ToolCompleted(
        run_id=run_id,
        step=outcome.step,
        attempt=outcome.attempt,
        at=outcome.completed.at,
        call_id=outcome.call_id,
        name=outcome.name,
        status=outcome.status,
        content=outcome.content,
        whole=outcome.whole,
    )


def called(run_id: str, outcome: ToolOutcome, arguments: str) -> list[Event]:
    """All that a call left. ``arguments`` is the model's text, for a call that was not edited."""
    placed: list[Event] = []
    if outcome.started:
        used = arguments if outcome.arguments is None else outcome.arguments
        event = tool_started(run_id, outcome, used, outcome.started.at)
        placed.append(event.model_copy(update={"seq": outcome.started.first}))
    for progress in outcome.progress:
        event = tool_progress(run_id, outcome.step, outcome.call_id, progress)
        placed.append(event.model_copy(update={"seq": progress.stamp.first}))
    return [*placed, tool_completed(run_id, outcome).model_copy(update={"seq": outcome.completed.first})]


def pausing(pause: Pause, first_turn_id: str, at: datetime) -> list[Event]:
    """A pause: what is asked, the turn's end, the run's waiting."""
    run_id, step = pause.run_id, pause.step
    return [
        ApprovalRequested(run_id=run_id, step=step, at=at, calls=pause.calls, expires_at=pause.expires_at),
        TurnEnded(
            run_id=run_id, step=step, at=at, turn=pause.turn, turn_id=first_turn_id, stop_reason="requires_approval"
        ),
        RunWaiting(run_id=run_id, step=step, at=at, usage=pause.usage),
    ]


def paused(result: Paused, current_turn_id: str) -> list[Event]:
    """The pause as it was written."""
    return _run_of(result.stamp.first, pausing(result.pause, current_turn_id, result.stamp.at))


def deciding(verdicts: Verdicts, at: datetime) -> list[Event]:
    """Decisions and expiries, and the beginning of the next turn where they were the last ones."""
    run_id, step = verdicts.run_id, verdicts.step
    events: list[Event] = [
        ApprovalDecided(
            run_id=run_id,
            step=step,
            at=at,
            call_id=decision.call_id,
            decision=decision.decision,
            by=decision.by,
            reason=decision.reason,
            args=decision.args,
            decision_id=decision.id,
        )
        for decision in verdicts.decisions
    ]
    events += [ApprovalExpired(run_id=run_id, step=step, at=at, call_id=call_id) for call_id in verdicts.expired]
    if verdicts.resume:
        turn = verdicts.turn + 1
        events.append(RunResumed(run_id=run_id, step=step, at=at, turn=turn, turn_id=turn_id(run_id, turn, at)))
    return events


def decided(result: Recorded) -> list[Event]:
    """The decisions as they were written."""
    return _run_of(result.stamp.first, deciding(result.verdicts, result.stamp.at))


def ending(finish: Finish, current_turn_id: str, at: datetime, output: str) -> list[Event]:
    """The end of the last turn and of the run. ``output`` is the text of the run's last message."""
    run_id, outcome = finish.run_id, finish.outcome
    reason = outcome.stop_reason
    turn = TurnEnded(run_id=run_id, at=at, turn=finish.turn, turn_id=current_turn_id, stop_reason=reason)
    if outcome.status == "completed":
        end: Event = RunCompleted(run_id=run_id, at=at, stop_reason=reason, usage=finish.usage, output=output)
    elif outcome.status == "cancelled":
        cancel = outcome.cancel or Cancel()
        end = RunCancelled(run_id=run_id, at=at, usage=finish.usage, reason=cancel.reason, by=cancel.by)
    else:
        error = outcome.error or ErrorInfo(type=reason, message="the run failed")
        end = RunFailed(run_id=run_id, at=at, stop_reason=reason, usage=finish.usage, error=error)
    return [turn, end]


def finished(result: Finished, current_turn_id: str, output: str, arguments: dict[str, str]) -> list[Event]:
    """The end as it was written. ``arguments`` has the model's text for each call that it closed."""
    run_id = result.finish.run_id
    events = [event for step in result.open_steps for event in opened(run_id, step)]
    for outcome in result.closed:
        events += called(run_id, outcome, arguments.get(outcome.call_id, ""))
    return [*events, *_run_of(result.stamp.first, ending(result.finish, current_turn_id, result.stamp.at, output))]
