"""What the demo claims, checked on the lines that its reader received: lines in, proofs out."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from longrun.client import AnyEvent, Line
from longrun.demo.reviewer import Review
from longrun.workflows.contract.events import (
    ApprovalDecided,
    AttemptSuperseded,
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
    """A connection that was closed after ``after``; ``missed`` events later the reader came back, to ``first``."""

    after: int
    missed: int
    first: int


@dataclass(frozen=True)
class Kill:
    """A worker that was killed when ``seq`` of ``step`` had been read; ``seconds`` later ``successor`` went on."""

    pid: int
    seq: int
    step: int
    seconds: float
    successor: int


@dataclass(frozen=True)
class Wipe:
    """A log before and after its rows were deleted: ``rows`` of them, and ``left`` right after."""

    rows: int
    remaining: int
    before: bytes
    after: bytes


def events_of(lines: Iterable[Line]) -> list[AnyEvent]:
    """The events of lines."""
    return [line.event() for line in lines]


def data_of(stream: bytes) -> list[str]:
    """The events of a stream as it was sent, one JSON text each."""
    return [line.removeprefix("data: ") for line in stream.decode().split("\n") if line.startswith("data: ")]


def settled(lines: Sequence[Line]) -> list[Line]:
    """The lines without the superseded events."""
    taken_back = {seq for event in _notices(lines) for seq in range(event.first, event.last + 1)}
    return [line for line in lines if line.seq not in taken_back]


def _notices(lines: Iterable[Line]) -> list[AttemptSuperseded]:
    return [event for event in events_of(lines) if isinstance(event, AttemptSuperseded)]


def one_log(lines: Sequence[Line], raw: bytes) -> Proof:
    """Each event was received once and in order, over all connections, and is what a reader of the whole log gets."""
    dense = [line.seq for line in lines] == list(range(1, len(lines) + 1))
    same = [line.data for line in lines] == data_of(raw)
    ended = bool(lines) and isinstance(lines[-1].event(), RunCompleted)
    order = f"seq 1 to {len(lines)}, each once and in order" if dense else "NOT each once and in order"
    figures = f"{len(lines)} events over two connections, {order}{'' if same else ', OTHER than the log'}"
    return Proof("one log, one cursor", dense and same and ended, figures)


def resumed(cut: Cut) -> Proof:
    """The second connection begins with the event after the cut, although others had come meanwhile."""
    held = cut.missed > 0 and cut.first == cut.after + 1
    figures = f"cut after seq {cut.after}; back {cut.missed} events later; went on with seq {cut.first}"
    return Proof("cut and resume", held, figures)


def survived(kill: Kill, lines: Sequence[Line], *, exact: bool) -> Proof:
    """The step in which the worker was killed has one message; the events of the killed attempt are superseded.

    ``exact``: the model is known to be asked again, so that there must be a notice, and no more than one.
    """
    notices = _notices(lines)
    whole = [event for event in events_of(lines) if isinstance(event, MessageCompleted) and event.step == kill.step]
    goes_on = kill.successor not in (0, kill.pid)
    fitting = [notice for notice in notices if notice.step == kill.step and notice.first <= kill.seq <= notice.last]
    counted = len(notices) == len(fitting) and (len(fitting) == 1 or (not exact and not fitting))
    superseded = "".join(f"; events {notice.first} to {notice.last} superseded" for notice in notices)
    figures = (
        f"SIGKILL to pid {kill.pid} after seq {kill.seq}, in the model call of step {kill.step}; "
        f"{kill.seconds:.1f} s later pid {kill.successor} went on{superseded}"
    )
    return Proof("worker killed", goes_on and counted and len(whole) == 1, figures)


def no_duplicates(lines: Sequence[Line]) -> Proof:
    """Of the settled events, the deltas of each part are its whole text: no sentence twice, none missing."""
    stands = events_of(settled(lines))
    parts = _parts(stands)
    matching = sum(deltas == whole for deltas, whole in parts)
    steps = sum(isinstance(event, StepStarted) for event in stands)
    messages = sum(isinstance(event, MessageCompleted) for event in stands)
    again = len(_notices(lines))
    held = 0 < matching == len(parts) and steps == messages
    figures = (
        f"{steps} steps, {messages + again} model calls ({again} interrupted); "
        f"of {len(parts)} texts and calls {matching} stand once and whole"
    )
    return Proof("nothing said twice", held, figures)


def _parts(events: Iterable[AnyEvent]) -> list[tuple[str, str]]:
    """Of each part of each message: its deltas one after the other, and the whole."""
    deltas: dict[tuple[str, int], str] = {}
    wholes: dict[tuple[str, int], str] = {}
    for event in events:
        if isinstance(event, TextDelta | ReasoningDelta | ToolCallDelta):
            key = (event.message_id, event.part)
            deltas[key] = deltas.get(key, "") + event.delta
        elif isinstance(event, TextCompleted | ReasoningCompleted | ToolCallCompleted):
            text = event.arguments if isinstance(event, ToolCallCompleted) else event.text
            wholes[event.message_id, event.part] = wholes.get((event.message_id, event.part), "") + text
    return [(deltas.get(key, ""), wholes.get(key, "")) for key in deltas.keys() | wholes.keys()]


def decided(reviews: Sequence[Review], lines: Sequence[Line], size: int | None) -> Proof:
    """Each call waited for the reviewer's signal, and the file is there exactly if a call was approved.

    Args:
        reviews: What the reviewer decided.
        lines: The run's log.
        size: The file's bytes in the end; ``None`` if there is none.
    """
    followed = [event.decision_id for event in events_of(lines) if isinstance(event, ApprovalDecided)]
    approved = any(review.decision.decision == "approve" for review in reviews)
    early = not reviews or any(review.early for review in reviews)
    held = bool(reviews) and followed == [review.decision.id for review in reviews]
    held = held and not early and (size is not None) == approved
    texts = [f"{one.tool}: {one.decision.decision} by {one.decision.by}, {one.seconds:.1f} s" for one in reviews]
    when = "BEFORE it" if early else "after it"
    wrote = "report.md was not written" if size is None else f"report.md written {when}, {size:,} bytes"
    return Proof("approval by signal", held, "; ".join([*texts, wrote]))


def from_history(wipe: Wipe, lines: Sequence[Line]) -> Proof:
    """The settled stream has the same bytes after its rows were deleted, and is what stood of what was read live."""
    digest = hashlib.sha256(wipe.after).hexdigest()
    same = hashlib.sha256(wipe.before).hexdigest() == digest
    stands = settled(lines)
    live = [line.data for line in stands] == data_of(wipe.before)
    superseded = len(lines) - len(stands)
    figures = (
        f"{wipe.rows} rows with {len(lines)} events deleted, {wipe.remaining} left; {len(data_of(wipe.after))} events, "
        f"all but the {superseded} superseded ones, from Temporal's history, "
        f"{'the same' if same else 'OTHER'} {len(wipe.after):,} bytes, sha256 {digest[:_DIGITS]}…"
    )
    return Proof("log from history", same and live and wipe.rows > 0 and wipe.remaining == 0, figures)
