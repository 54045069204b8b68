"""What the demo claims, checked on the lines that its reader received: lines in, proofs out."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.client import Line
from gateway.demo_reviewer import Review
from workflows.contract.events import (
    ApprovalDecided,
    AttemptSuperseded,
    Event,
    MessageCompleted,
    ReasoningCompleted,
    ReasoningDelta,
    RunCompleted,
    StepStarted,
    TextCompleted,
    TextDelta,
    ToolCallCompleted,
    ToolCallDelta,
)

_DIGITS = 16


@dataclass(frozen=True)
class Proof:
    """A claim, whether it held, and what was measured."""

    name: str
    held: bool
    figures: str


@dataclass(frozen=True)
class Cut:
    """A connection that was closed after ``after``; ``meanwhile`` events later it went on with ``first``."""

    after: int
    meanwhile: int
    first: int


@dataclass(frozen=True)
class Kill:
    """A worker that was killed when ``seq`` had been read; the next event came ``seconds`` later, by ``successor``."""

    pid: int
    seq: int
    step: int
    seconds: float
    successor: int


@dataclass(frozen=True)
class Report:
    """The agent's file: whether it was there when the approval was asked for, and its bytes in the end."""

    was_there: bool
    size: int | None


@dataclass(frozen=True)
class Wipe:
    """A log before and after its rows were deleted: ``rows`` of them, and ``left`` right after."""

    rows: int
    left: int
    before: bytes
    after: bytes


def events_of(lines: Iterable[Line]) -> list[Event]:
    """The events that are known here."""
    return [event for line in lines if (event := line.event()) is not None]


def data_of(stream: bytes) -> list[str]:
    """The events of a stream as it was sent, one JSON text each."""
    return [line.removeprefix("data: ") for line in stream.decode().split("\n") if line.startswith("data: ")]


def standing(lines: Sequence[Line]) -> list[Line]:
    """The lines without those that an ``attempt.superseded`` takes back."""
    gone = {seq for event in _notices(lines) for seq in range(event.first, event.last + 1)}
    return [line for line in lines if line.seq not in gone]


def _notices(lines: Iterable[Line]) -> list[AttemptSuperseded]:
    return [event for event in events_of(lines) if isinstance(event, AttemptSuperseded)]


def one_log(lines: Sequence[Line], raw: bytes) -> Proof:
    """Each event was received once and in order, over all connections, and is what a reader of the whole log gets."""
    dense = [line.seq for line in lines] == list(range(1, len(lines) + 1))
    same = [line.data for line in lines] == data_of(raw)
    ended = bool(lines) and isinstance(lines[-1].event(), RunCompleted)
    figures = f"{len(lines)} events over two connections, seq 1 to {len(lines)}, each once and in order"
    return Proof("one log, one cursor", dense and same and ended, figures)


def resumed(cut: Cut) -> Proof:
    """The second connection begins with the event after the cut, although others had come meanwhile."""
    figures = f"cut after seq {cut.after}, {cut.meanwhile} events missed, resumed: first seq {cut.first}"
    return Proof("cut and resume", cut.first == cut.after + 1, figures)


def survived(kill: Kill, lines: Sequence[Line], *, exact: bool) -> Proof:
    """The step in which the worker was killed has its message; its interrupted attempt was taken back once at most.

    ``exact``: the model is known to be asked again, so that there must be a notice.
    """
    notices = _notices(lines)
    whole = [event for event in events_of(lines) if isinstance(event, MessageCompleted) and event.step == kill.step]
    goes_on = kill.successor not in (0, kill.pid)
    counted = len(notices) == 1 or (not exact and not notices)
    gone = "".join(f", events {event.first} to {event.last} superseded" for event in notices)
    figures = (
        f"pid {kill.pid} by SIGKILL after seq {kill.seq}, in the model call of step {kill.step}; "
        f"next event {kill.seconds:.1f} s later{gone}; pid {kill.successor} goes on"
    )
    return Proof("worker killed", goes_on and counted and len(whole) == 1, figures)


def said_once(lines: Sequence[Line]) -> Proof:
    """In what stands, the deltas of each part are the whole part: no sentence twice, none missing."""
    standing_events = events_of(standing(lines))
    pieces: dict[tuple[str, int], str] = {}
    parts = matching = 0
    for event in standing_events:
        if isinstance(event, TextDelta | ReasoningDelta | ToolCallDelta):
            key = (event.message_id, event.part)
            pieces[key] = pieces.get(key, "") + event.delta
        elif isinstance(event, TextCompleted | ReasoningCompleted | ToolCallCompleted):
            parts += 1
            text = event.arguments if isinstance(event, ToolCallCompleted) else event.text
            matching += pieces.pop((event.message_id, event.part), "") == text
    steps = sum(isinstance(event, StepStarted) for event in standing_events)
    messages = sum(isinstance(event, MessageCompleted) for event in standing_events)
    again = len(_notices(lines))
    held = parts == matching > 0 and not pieces and steps == messages
    figures = (
        f"{steps} steps, {messages + again} model calls ({again} repeated), {matching} of {parts} parts stand once"
    )
    return Proof("nothing said twice", held, figures)


def decided(reviews: Sequence[Review], lines: Sequence[Line], report: Report) -> Proof:
    """Each call waited for the reviewer's signal, and the file is there exactly if a call was approved."""
    followed = [event.decision_id for event in events_of(lines) if isinstance(event, ApprovalDecided)]
    approved = any(review.decision.decision == "approve" for review in reviews)
    held = bool(reviews) and followed == [review.decision.id for review in reviews]
    held = held and not report.was_there and (report.size is not None) == approved
    told = [f"{one.tool}: {one.decision.decision} by {one.decision.by}, {one.seconds:.1f} s" for one in reviews]
    wrote = "report.md was not written" if report.size is None else f"then report.md was written, {report.size:,} bytes"
    return Proof("approval by signal", held, "; ".join([*told, wrote]))


def from_history(wipe: Wipe, lines: Sequence[Line]) -> Proof:
    """The settled stream has the same bytes after its rows were deleted, and is what stood of what was read live."""
    digest = hashlib.sha256(wipe.after).hexdigest()
    same = hashlib.sha256(wipe.before).hexdigest() == digest
    live = [line.data for line in standing(lines)] == data_of(wipe.before)
    figures = (
        f"{wipe.rows} rows deleted; {len(data_of(wipe.after))} events, {len(wipe.after):,} bytes from Temporal's "
        f"history, {'the same' if same else 'OTHER'} bytes (sha256 {digest[:_DIGITS]}…)"
    )
    return Proof("log from history", same and live and wipe.rows > 0 and wipe.left == 0, figures)
