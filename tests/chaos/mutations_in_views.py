"""Faults in what viewers and pages show of a log that is right."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from longrun.workflows.contract.events import type_of
from tests.chaos.mutating import Change, Mutation, observed, requested, seen, shows
from tests.chaos.observations import Frame, RunObserved
from tests.chaos.stories import paid, reset
from tests.chaos.view_rules import (
    rebuilt_is_settled,
    runs_are_shown_as_they_ended,
    settled_is_raw_without_what_was_removed,
    stored_is_raw,
)
from tests.chaos.viewer_rules import (
    frames_are_the_log,
    streams_end_with_the_run,
    viewers_miss_nothing,
    viewers_read_in_order,
    viewers_see_nothing_twice,
)


def _lost(lines: Sequence[bytes], at: int = 7) -> tuple[bytes, ...]:
    return (*lines[:at], *lines[at + 1 :])


def _unnoticed(frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame.event != "attempt.superseded"]


def _without_first_removed(run: RunObserved) -> RunObserved:
    first = min(run.log.removed)
    return seen("whole", lambda frames: [frame for frame in frames if frame.id != first])(run)


def _half_of_what_was_removed(run: RunObserved) -> RunObserved:
    """A connection that left the view to the server shows the first superseded delta and misses the others."""
    first, *others = sorted(run.log.removed)
    line = run.raw[first - 1]
    shown = [Frame(first, type_of(line), line)]
    assert others
    return seen("pieces", lambda frames: sorted([*shown, *frames]), connection=-1)(run)


MUTATIONS = {
    "an event is lost": Mutation(paid, seen("whole", lambda f: f[:9] + f[10:]), (viewers_miss_nothing,)),
    "an event is lost after a reset": Mutation(reset, seen("late", lambda f: f[:9] + f[10:]), (viewers_miss_nothing,)),
    "an event is lost between two connections": Mutation(
        paid, seen("pieces", lambda f: f[1:], connection=1), (viewers_miss_nothing,)
    ),
    "an event comes twice": Mutation(
        paid, seen("whole", lambda f: [*f[:9], f[8], *f[9:]]), (viewers_see_nothing_twice,)
    ),
    "a connection begins with what was seen": Mutation(
        paid, seen("late", lambda f: [*f[:5], *f[2:]]), (viewers_see_nothing_twice,)
    ),
    "two events change places": Mutation(
        paid, seen("whole", lambda f: [*f[:8], f[9], f[8], *f[10:]]), (viewers_read_in_order,)
    ),
    "an event has another byte": Mutation(
        paid,
        seen("whole", lambda f: [f[0]._replace(data=f[0].data.replace(b"hello", b"hallo")), *f[1:]]),
        (frames_are_the_log,),
    ),
    "an event has another name": Mutation(
        paid, seen("late", lambda f: [f[0]._replace(event="tool.progress"), *f[1:]]), (frames_are_the_log,)
    ),
    "an event is shown that was never written": Mutation(
        paid,
        seen("whole", lambda f: [*f, Frame(1000, "tool.progress", b"{}")]),
        (frames_are_the_log, streams_end_with_the_run),
    ),
    "a raw view leaves out what was superseded": Mutation(paid, _without_first_removed, (viewers_miss_nothing,)),
    "a view shows half of what was superseded": Mutation(paid, _half_of_what_was_removed, (viewers_miss_nothing,)),
    "a settled view leaves out the notice": Mutation(paid, seen("late", _unnoticed), (viewers_miss_nothing,)),
    "a stream ends too early": Mutation(
        paid, seen("late", lambda f: f[:-3], end="ended"), (viewers_miss_nothing, streams_end_with_the_run)
    ),
    "a stream ends at once": Mutation(
        paid, seen("late", lambda _: [], end="ended"), (viewers_miss_nothing, streams_end_with_the_run)
    ),
    "a stream breaks off for good": Mutation(
        paid, seen("whole", lambda f: f[:20], end="closed"), (streams_end_with_the_run,)
    ),
    "the settled view lacks an event": Mutation(
        paid,
        lambda run: replace(run, settled=_lost(run.settled), rebuilt=_lost(run.settled)),
        (settled_is_raw_without_what_was_removed,),
    ),
    "the settled view shows what was superseded": Mutation(
        paid, lambda run: replace(run, settled=run.raw, rebuilt=run.raw), (settled_is_raw_without_what_was_removed,)
    ),
    "history lacks an event": Mutation(
        paid, lambda run: replace(run, rebuilt=_lost(run.settled)), (rebuilt_is_settled,)
    ),
    "history has another byte": Mutation(
        paid,
        lambda run: replace(run, rebuilt=(*run.settled[:-1], run.settled[-1].replace(b"t1w7", b"t1w8"))),
        (rebuilt_is_settled,),
    ),
    "the database has one more": Mutation(paid, lambda run: replace(run, stored=(*run.raw, b"{}")), (stored_is_raw,)),
    "the run is shown as running": Mutation(paid, shows(status="running"), (runs_are_shown_as_they_ended,)),
    "the run is shown with another output": Mutation(paid, shows(output="?"), (runs_are_shown_as_they_ended,)),
}

UNHARMED: dict[str, tuple[Callable[[], RunObserved], Change]] = {
    "nobody looked at the database, history and the run": (paid, observed(stored=None, rebuilt=None, run=None)),
    "a viewer goes away": (paid, seen("whole", lambda f: f[:20], end="cut")),
    "a viewer goes away before it sees anything": (paid, seen("whole", lambda _: [], end="cut")),
    "a viewer comes back after the end": (paid, seen("late", lambda _: [], starting_after=49, end="ended")),
    "a server leaves it to the viewer to come back": (paid, seen("pieces", lambda f: f, end="closed")),
    "there are no viewers": (paid, observed(viewers=())),
    "a run that was not accepted is as it is": (paid, lambda run: requested(accepted=False)(observed(raw=())(run))),
}
"""What is no fault."""
