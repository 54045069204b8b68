"""What must hold of a run's log by itself, whatever happened to the run on its way.

A rule says what it finds broken, one text per fault; its name names the fault. All but the first two look at what no
reset took back.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator

from longrun.workflows.contract.events import (
    TERMINAL,
    AttemptSuperseded,
    MessageCompleted,
    RunAccepted,
    StepStarted,
    ToolCallCompleted,
    ToolCompleted,
    ToolProgress,
    ToolStarted,
)
from tests.chaos.log import Delta, Log, Whole, some

LogRule = Callable[[Log], Iterator[str]]


def seqs_are_dense(log: Log) -> Iterator[str]:
    """Events are numbered 1, 2, 3 … in their order."""
    yield from _rising(log)
    seqs = {event.seq for event in log.events}
    if missing := sorted(set(range(1, max(seqs, default=0) + 1)) - seqs):
        yield f"there is no {some(missing)}"


def only_superseded_is_missing(log: Log) -> Iterator[str]:
    """Numbers rise, and only what was superseded is left out."""
    yield from _rising(log)
    seqs = {event.seq for event in log.events}
    if missing := sorted(set(range(1, max(seqs, default=0) + 1)) - seqs - log.may_be_missing):
        yield f"there is no {some(missing)}"


def _rising(log: Log) -> Iterator[str]:
    for before, event in itertools.pairwise(log.events):
        if event.seq <= before.seq:
            yield f"{event.seq} comes after {before.seq}"


def logs_begin_with_their_run(log: Log) -> Iterator[str]:
    """The first event is ``run.accepted``, and all are of one run."""
    if not isinstance(log.events[0], RunAccepted) or log.events[0].seq != 1:
        yield f"it begins with {log.events[0].type} {log.events[0].seq}"
    if len(ids := {event.run_id for event in log.events}) > 1:
        yield f"it has events of {some(sorted(ids))}"


def runs_end(log: Log) -> Iterator[str]:
    """There is a terminal event."""
    if not any(event.type in TERMINAL for event in log.life):
        yield f"it stops at {log.events[-1].type} {log.events[-1].seq}"


def runs_end_once(log: Log) -> Iterator[str]:
    """No more than one terminal event, and nothing after it."""
    ends = [event for event in log.life if event.type in TERMINAL]
    if len(ends) > 1:
        yield f"it ends at {some(event.seq for event in ends)}"
    if ends and (after := [event for event in log.life if event.seq > ends[0].seq]):
        yield f"after the end come {some(f'{event.type} {event.seq}' for event in after)}"


def superseded_attempts_are_silent(log: Log) -> Iterator[str]:
    """A notice covers exactly the text of its attempt, comes after it and once; the attempt has no message."""
    notices = [event for event in log.life if isinstance(event, AttemptSuperseded)]
    completed = {(event.step, event.attempt) for event in log.life if isinstance(event, MessageCompleted)}
    for notice in notices:
        attempt = (notice.step, notice.attempt)
        theirs = [e.seq for e in log.life if isinstance(e, Delta | Whole) and (e.step, e.attempt) == attempt]
        if not notice.first <= notice.last < notice.seq:
            yield f"the notice {notice.seq} speaks of {notice.first} to {notice.last}"
        if theirs and (min(theirs), max(theirs)) != (notice.first, notice.last):
            span = f"{notice.first} to {notice.last}"
            yield f"the notice {notice.seq} says {span}, its attempt wrote {min(theirs)} to {max(theirs)}"
        if attempt in completed:
            yield f"the attempt of the notice {notice.seq} has completed its message"
    twice = Counter((notice.step, notice.attempt) for notice in notices)
    yield from (f"attempt {key} was superseded {count} times" for key, count in twice.items() if count > 1)


def steps_are_counted(log: Log) -> Iterator[str]:
    """Steps begin as 1, 2, 3 …; each has at most one message, in the same order."""
    started = [event.step for event in log.life if isinstance(event, StepStarted)]
    if started != list(range(1, len(started) + 1)):
        yield f"steps begin as {some(started)}"
    ended = [event.step or 0 for event in log.life if isinstance(event, MessageCompleted)]
    if ended != sorted(set(ended)):
        yield f"messages of steps come as {some(ended)}"
    if unknown := set(ended) - set(started):
        yield f"messages of steps that never began: {some(sorted(unknown))}"


class _Texts:
    """The texts of a log's messages, as they grow."""

    def __init__(self) -> None:
        self.ends: dict[str, str] = {}
        self.texts: dict[tuple[str, int], str] = {}
        self.wholes: set[tuple[str, int]] = set()

    def take(self, event: Delta | Whole | MessageCompleted) -> Iterator[str]:
        """What is wrong with the next event."""
        if isinstance(event, MessageCompleted):
            if event.message_id in self.ends:
                yield f"message {event.message_id} is completed again at {event.seq}"
            self.ends[event.message_id] = event.finish_reason
            return
        key = (event.message_id, event.part)
        if event.message_id in self.ends or key in self.wholes:
            yield f"{event.type} {event.seq} comes after its part or message"
        if isinstance(event, Delta):
            self.texts[key] = self.texts.get(key, "") + event.delta
            return
        self.wholes.add(key)
        text = event.arguments if isinstance(event, ToolCallCompleted) else event.text
        if self.texts.setdefault(key, "") != text:
            yield f"the deltas before {event.type} {event.seq} join to {self.texts[key]!r}, it says {text!r}"


def parts_join_to_messages(log: Log) -> Iterator[str]:
    """Deltas join to the part that comes after them, parts come before their message's end; a cancel may cut them."""
    texts = _Texts()
    for event in log.effective:
        if isinstance(event, Delta | Whole | MessageCompleted):
            yield from texts.take(event)
    for message_id, part in texts.texts:
        if message_id not in texts.ends:
            yield f"part {part} of message {message_id} stands, the message is not completed"
        elif (message_id, part) not in texts.wholes and texts.ends[message_id] != "cancelled":
            yield f"part {part} of message {message_id} is not completed"


def calls_have_one_result(log: Log) -> Iterator[str]:
    """Each call of a message has one result, after it, and nothing else has; it starts and reports in between."""
    made = {event.call_id: event.seq for event in log.effective if isinstance(event, ToolCallCompleted)}
    results = [event for event in log.effective if isinstance(event, ToolCompleted)]
    starts = [event for event in log.effective if isinstance(event, ToolStarted)]
    counts = Counter(event.call_id for event in results)
    yield from (f"call {call} has {counts[call]} results" for call in made if counts[call] != 1)
    for event in (*starts, *results):
        if made.get(event.call_id, event.seq) >= event.seq:
            yield f"{event.type} {event.seq} comes without or before the call {event.call_id}"
    twice = Counter(event.call_id for event in starts)
    yield from (f"call {call} starts {count} times" for call, count in twice.items() if count > 1)
    started = {event.call_id: event.seq for event in starts}
    ended = {event.call_id: event.seq for event in results}
    for event in log.effective:
        if isinstance(event, ToolStarted | ToolProgress):
            first = started.get(event.call_id, event.seq + 1)
            if not first <= event.seq < ended.get(event.call_id, event.seq + 1):
                yield f"{event.type} {event.seq} comes outside of the call {event.call_id}"


def cancels_stop_the_run(log: Log) -> Iterator[str]:
    """After something was cut by a cancel no step begins and no text comes."""
    cut = [
        event.seq
        for event in log.effective
        if (isinstance(event, MessageCompleted) and event.finish_reason == "cancelled")
        or (isinstance(event, ToolCompleted) and event.status == "cancelled")
    ]
    for event in log.effective:
        if cut and event.seq > cut[0] and isinstance(event, StepStarted | Delta | Whole):
            yield f"{event.type} {event.seq} comes after the cancel at {cut[0]}"
