"""What must hold of the log of every run that has ended, whatever happened to it on its way."""

from collections.abc import Iterable, Sequence

from longrun.workflows.contract.events import EVENT, Event, TextDelta
from tests.chaos.checker import RAW_LOG, SETTLED_LOG, log_faults
from tests.chaos.log import Log


def parsed(lines: Iterable[bytes | str]) -> list[Event]:
    """The events of JSON lines, or of the ``data`` of SSE frames."""
    return [EVENT.validate_json(line) for line in lines]


def check_log(events: Sequence[Event]) -> None:
    """Check the whole log of a run that has ended, superseded events included."""
    assert log_faults(Log.of_events(events), RAW_LOG) == []


def check_settled(events: Sequence[Event]) -> None:
    """Check the log of a run that has ended; events of superseded attempts may be missing from it."""
    assert log_faults(Log.of_events(events), SETTLED_LOG) == []


def effective(events: Sequence[Event]) -> list[Event]:
    """The events without the deltas that were superseded."""
    return list(Log.of_events(events).effective)


def settled_text(events: Sequence[Event]) -> str:
    """All text deltas that stand, joined."""
    return "".join(event.delta for event in effective(events) if isinstance(event, TextDelta))


def of_type(events: Sequence[Event], kind: str) -> list[Event]:
    """The events of a type."""
    return [event for event in events if event.type == kind]
