"""What must hold of what each viewer got, over all its connections."""

from collections import Counter
from collections.abc import Iterator

from longrun.workflows.contract.events import TERMINAL, type_of
from tests.chaos.log import some
from tests.chaos.observations import Connection, RunObserved, Viewer


def frames_are_the_log(run: RunObserved) -> Iterator[str]:
    """Each frame is the log's event of that number, byte for byte."""
    lines = {event.seq: line for event, line in zip(run.log.events, run.raw, strict=True)}
    for viewer in run.viewers:
        for frame in viewer.frames:
            line = lines.get(frame.id)
            if line is None:
                yield f"{viewer.name} got {frame.event} {frame.id}, which is not in the log"
            elif frame.data != line or frame.event != type_of(line):
                yield f"{viewer.name} got {frame.event} {frame.id} as {frame.data!r}, the log has {line!r}"


def viewers_miss_nothing(run: RunObserved) -> Iterator[str]:
    """A viewer gets every event after its first cursor; a settled connection may skip what does not stand."""
    for viewer in run.viewers:
        seen = {frame.id for frame in viewer.frames}
        due = [event.seq for event in run.log.events if event.seq > viewer.first_cursor and event.seq not in seen]
        if missed := [seq for seq in due if _skipped(run, viewer, seq)]:
            yield f"{viewer.name} missed {some(missed)}"


def _skipped(run: RunObserved, viewer: Viewer, seq: int) -> bool:
    """Whether a connection passed over an event that it should have shown."""
    for connection in viewer.connections:
        if _reach(run, connection) >= seq:
            return seq not in run.log.removed or not _settled(run, connection)
    return False


def _reach(run: RunObserved, connection: Connection) -> int:
    """Up to where the connection claims to have shown the log."""
    last = connection.frames[-1] if connection.frames else None
    if connection.end == "ended" and not (last and last.event in TERMINAL):
        return run.log.events[-1].seq
    return max((frame.id for frame in connection.frames), default=0)


def _settled(run: RunObserved, connection: Connection) -> bool:
    """Whether it may have left out what does not stand; the server chose so only for a run that was over."""
    if connection.view is None:
        return not any(frame.id in run.log.removed for frame in connection.frames)
    return connection.view == "settled"


def viewers_see_nothing_twice(run: RunObserved) -> Iterator[str]:
    """No event comes twice to a viewer."""
    for viewer in run.viewers:
        counts = Counter(frame.id for frame in viewer.frames)
        if twice := [seq for seq, count in counts.items() if count > 1]:
            yield f"{viewer.name} got {some(twice)} more than once"


def viewers_read_in_order(run: RunObserved) -> Iterator[str]:
    """Events come to a viewer in the order of the log, none from before its cursor."""
    for viewer in run.viewers:
        last = viewer.first_cursor
        for seq in dict.fromkeys(frame.id for frame in viewer.frames):
            if seq < last:
                yield f"{viewer.name} got {seq} after {last}"
            last = max(seq, last)


def streams_end_with_the_run(run: RunObserved) -> Iterator[str]:
    """A clean end comes after the run's last event, and only a viewer that went away goes without one."""
    for viewer in run.viewers:
        cursor = viewer.first_cursor
        for connection in viewer.connections:
            last = connection.frames[-1] if connection.frames else None
            cursor = max((frame.id for frame in connection.frames), default=cursor)
            over = last.event in TERMINAL if last else cursor == run.log.events[-1].seq
            if connection.end == "ended" and not over:
                yield f"a stream of {viewer.name} ended after {cursor}"
        if viewer.connections and viewer.connections[-1].end == "closed":
            yield f"the last stream of {viewer.name} broke off after {cursor}"
