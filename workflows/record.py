"""The events that a result leaves in the log.

The live writer asks here before it commits a result, and the rebuild asks here with what Temporal's history kept of it;
so both write the same bytes.
"""

import hashlib
import uuid
from datetime import datetime
from functools import singledispatch

from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.events import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalRequested,
    AttemptFailed,
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
    SignalIgnored,
    StepStarted,
    ToolCompleted,
    ToolProgress,
    ToolStarted,
    TurnEnded,
)
from longrun.workflows.contract.messages import Message, TextPart
from longrun.workflows.contract.requests import Finish
from longrun.workflows.contract.results import (
    CallStarted,
    Failed,
    Finished,
    Ignored,
    ModelReply,
    Paused,
    Progress,
    Recorded,
    Result,
    Rewound,
    StepOpened,
    Superseded,
    ToolOutcome,
)
from longrun.workflows.contract.runs import Cancel, RunOrder, Said
from longrun.workflows.deltas import Attempt, played


def turn_id(run_id: str, turn: int, at: datetime) -> str:
    """The public id of a turn: the run's own for the first, else a UUIDv7 of the time at which the turn began."""
    if turn == 1:
        return run_id
    digest = int.from_bytes(hashlib.sha256(f"{run_id}:{turn}".encode()).digest()[:10], "big")
    millis = int(at.timestamp() * 1000)
    value = (millis << 80) | (digest & ~(0xF << 76) & ~(0x3 << 62)) | (0x7 << 76) | (0x2 << 62)
    return str(uuid.UUID(int=value))


def said_message(run_id: str, step: int, index: int, said: Said) -> Message:
    """The user message that a ``say`` becomes."""
    name = said.id or f"{run_id}:{step}:{index}"
    digest = hashlib.sha256(f"{run_id}:{name}".encode()).digest()[:16]
    return Message(id=str(uuid.UUID(bytes=digest, version=4)), role="user", parts=(TextPart(text=said.text),))


def say_key(run_id: str, said: Said) -> str:
    """What makes two signals with a user's message one."""
    return f"say:{run_id}:{said.id}"


def accepted(order: RunOrder) -> RunAccepted:
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


@singledispatch
def events(result: Result, run_id: str, text: str = "") -> list[Event]:  # noqa: ARG001 - what its kinds take
    """The events of a result, without their positions.

    Args:
        result: The result; of those that it carries along, nothing (``positions.unfolded`` gives those).
        run_id: Its run.
        text: What the result refers to and another one holds: of a call's start the model's arguments, of the run's
            end the text of its last message.
    """
    raise TypeError(f"{type(result).__name__} leaves no events")


@events.register
def _(result: StepOpened, run_id: str, _text: str = "") -> list[Event]:
    step, at = result.step, result.stamp.at
    received: list[Event] = [
        MessageReceived(run_id=run_id, step=step, at=at, message=said_message(run_id, step, index, said), by=said.by)
        for index, said in enumerate(result.said)
    ]
    return [*received, StepStarted(run_id=run_id, step=step, attempt=result.attempt, at=at, model=result.model)]


@events.register
def _(result: Superseded, run_id: str, _text: str = "") -> list[Event]:
    return [
        AttemptSuperseded(
            run_id=run_id,
            step=result.step,
            attempt=result.attempt,
            at=result.stamp.at,
            first=result.first,
            last=result.last,
        )
    ]


@events.register
def _(result: Failed, run_id: str, _text: str = "") -> list[Event]:
    return [
        AttemptFailed(
            run_id=run_id,
            step=result.step,
            attempt=result.attempt,
            at=result.stamp.at,
            cause=result.cause,
            next_at=result.next_at,
        )
    ]


@events.register
def _(result: ModelReply, run_id: str, _text: str = "") -> list[Event]:
    if result.kept:
        return [message_completed(run_id, result)]
    attempt = Attempt(run_id, result.step, result.attempt, result.attempt_at, result.message.id)
    return [*played(attempt, result.message, result.marks), message_completed(run_id, result)]


def message_completed(run_id: str, reply: ModelReply) -> MessageCompleted:
    """The event that closes a message; its deltas came before."""
    return MessageCompleted(
        run_id=run_id,
        step=reply.step,
        attempt=reply.attempt,
        at=reply.completed_at,
        message_id=reply.message.id,
        finish_reason=reply.finish_reason,
        usage=reply.usage,
    )


@events.register
def _(result: CallStarted, run_id: str, text: str = "") -> list[Event]:
    return [
        ToolStarted(
            run_id=run_id,
            step=result.step,
            attempt=1,
            at=result.stamp.at,
            call_id=result.call_id,
            name=result.name,
            arguments=text if result.arguments is None else result.arguments,
            original=None if result.arguments is None else text,
        )
    ]


@events.register
def _(result: Progress, run_id: str, _text: str = "") -> list[Event]:
    return [
        ToolProgress(
            run_id=run_id,
            step=result.step,
            attempt=result.attempt,
            at=result.stamp.at,
            call_id=result.call_id,
            data=result.data,
        )
    ]


@events.register
def _(result: ToolOutcome, run_id: str, _text: str = "") -> list[Event]:
    return [
        ToolCompleted(
            run_id=run_id,
            step=result.step,
            attempt=result.attempt,
            at=result.stamp.at,
            call_id=result.call_id,
            name=result.name,
            status=result.status,
            content=result.content,
            whole=result.whole,
        )
    ]


@events.register
def _(result: Paused, run_id: str, _text: str = "") -> list[Event]:
    pause, at = result.pause, result.stamp.at
    ended = TurnEnded(
        run_id=run_id,
        step=pause.step,
        at=at,
        turn=pause.turn,
        turn_id=result.turn_id,
        stop_reason="requires_approval",
    )
    return [
        ApprovalRequested(run_id=run_id, step=pause.step, at=at, calls=pause.calls, expires_at=pause.expires_at),
        ended,
        RunWaiting(run_id=run_id, step=pause.step, at=at, usage=pause.usage),
    ]


@events.register
def _(result: Recorded, run_id: str, _text: str = "") -> list[Event]:
    verdicts, at = result.verdicts, result.stamp.at
    step = verdicts.step
    found: list[Event] = [
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
    found += [ApprovalExpired(run_id=run_id, step=step, at=at, call_id=call_id) for call_id in verdicts.expired]
    if verdicts.resume:
        turn = verdicts.turn + 1
        found.append(RunResumed(run_id=run_id, step=step, at=at, turn=turn, turn_id=turn_id(run_id, turn, at)))
    return found


@events.register
def _(result: Ignored, run_id: str, _text: str = "") -> list[Event]:
    step, at = result.ignore.step, result.stamp.at
    return [
        SignalIgnored(run_id=run_id, step=step, at=at, signal=each.signal, reason=each.reason)
        for each in result.ignore.signals
    ]


@events.register
def _(result: Finished, run_id: str, text: str = "") -> list[Event]:
    finish, at = result.finish, result.stamp.at
    reason = finish.outcome.stop_reason
    ended = TurnEnded(run_id=run_id, at=at, turn=finish.turn, turn_id=result.turn_id, stop_reason=reason)
    return [ended, _end(finish, at, text)]


def _end(finish: Finish, at: datetime, output: str) -> Event:
    run_id, outcome = finish.run_id, finish.outcome
    if outcome.status == "completed":
        return RunCompleted(run_id=run_id, at=at, stop_reason=outcome.stop_reason, usage=finish.usage, output=output)
    if outcome.status == "cancelled":
        cancel = outcome.cancel or Cancel()
        return RunCancelled(run_id=run_id, at=at, usage=finish.usage, reason=cancel.reason, by=cancel.by)
    error = outcome.error or ErrorInfo(type=outcome.stop_reason, message="the run failed")
    return RunFailed(run_id=run_id, at=at, stop_reason=outcome.stop_reason, usage=finish.usage, error=error)


@events.register
def _(result: Rewound, run_id: str, _text: str = "") -> list[Event]:
    return [
        RunResumed(
            run_id=run_id,
            at=result.stamp.at,
            turn=result.turn,
            turn_id=result.turn_id,
            first=result.first,
            last=result.last,
        )
    ]
