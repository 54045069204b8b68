"""How faults are injected into a run that has none."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from longrun.workflows.contract.attempts import AttemptEntry
from longrun.workflows.contract.events import type_of
from tests.chaos.checker import RunRule
from tests.chaos.log_rules import LogRule
from tests.chaos.observations import Bill, Frame, RunObserved, Viewer
from tests.chaos.stories import retold

Change = Callable[[RunObserved], RunObserved]


@dataclass(frozen=True)
class Mutation:
    """A story, what is changed in it, and the rules that find it."""

    story: Callable[[], RunObserved]
    change: Change
    found_by: tuple[LogRule | RunRule, ...]


def index_of(run: RunObserved, kind: str, nth: int = 0) -> int:
    """Where in the log the nth event of a type is; -1 is the last one."""
    return [index for index, line in enumerate(run.raw) if type_of(line) == kind][nth]


def edited(line: bytes, **changes: Any) -> bytes:  # noqa: ANN401 - any field of an event
    """A line with other values in it."""
    return json.dumps({**json.loads(line), **changes}, separators=(",", ":")).encode()


def without(kind: str, nth: int = 0) -> Change:
    """The log lacks an event, and is numbered without it."""

    def change(run: RunObserved) -> RunObserved:
        at = index_of(run, kind, nth)
        return retold(run, (*run.raw[:at], *run.raw[at + 1 :]))

    return change


def again(kind: str, after: str, nth: int = 0, *, nth_after: int = 0, **changes: Any) -> Change:  # noqa: ANN401
    """The log has an event once more, right after another one, perhaps with other values."""

    def change(run: RunObserved) -> RunObserved:
        line = edited(run.raw[index_of(run, kind, nth)], **changes)
        at = index_of(run, after, nth_after) + 1
        return retold(run, (*run.raw[:at], line, *run.raw[at:]))

    return change


def other(kind: str, nth: int = 0, **changes: Any) -> Change:  # noqa: ANN401 - any field of an event
    """An event of the log has other values."""

    def change(run: RunObserved) -> RunObserved:
        at = index_of(run, kind, nth)
        return retold(run, (*run.raw[:at], edited(run.raw[at], **changes), *run.raw[at + 1 :]))

    return change


def cut(count: int) -> Change:
    """The log lacks its last events."""
    return lambda run: retold(run, run.raw[:-count])


def both(*changes: Change) -> Change:
    """One change after another."""

    def change(run: RunObserved) -> RunObserved:
        for each in changes:
            run = each(run)
        return run

    return change


def seen(name: str, shown: Callable[[list[Frame]], list[Frame]], connection: int = 0, **more: Any) -> Change:  # noqa: ANN401
    """A connection of a viewer shows other frames, or has other values."""

    def changed(viewer: Viewer) -> Viewer:
        if viewer.name != name:
            return viewer
        each = list(viewer.connections)
        each[connection] = replace(each[connection], frames=tuple(shown(list(each[connection].frames))), **more)
        return replace(viewer, connections=tuple(each))

    return lambda run: replace(run, viewers=tuple(map(changed, run.viewers)))


def observed(**changes: Any) -> Change:  # noqa: ANN401 - the fields of RunObserved
    """Something else was observed."""
    return lambda run: replace(run, **changes)


def requested(**changes: Any) -> Change:  # noqa: ANN401 - the fields of RunRequest
    """The driver asked for something else."""
    return lambda run: replace(run, request=replace(run.request, **changes))


def shows(**changes: Any) -> Change:  # noqa: ANN401 - the fields of a run
    """The run is shown with other values."""
    return lambda run: replace(run, run={**(run.run or {}), **changes})


def tried(*entries: AttemptEntry) -> Change:
    """The run shows more attempts, and counts what they cost."""

    def change(run: RunObserved) -> RunObserved:
        known = dict(run.run or {})
        known["attempts"] = [*known["attempts"], *(entry.model_dump(mode="json") for entry in entries)]
        return replace(run, run=known)

    return change


def charged(*bills: Bill) -> Change:
    """The provider counted more calls."""
    return lambda run: replace(run, bills=(*run.bills, *bills))


def billed_as(index: int, **changes: Any) -> Change:  # noqa: ANN401 - the fields of Bill
    """A line of the bill has other values."""

    def change(run: RunObserved) -> RunObserved:
        bills = list(run.bills)
        bills[index] = bills[index].model_copy(update=changes)
        return replace(run, bills=tuple(bills))

    return change
