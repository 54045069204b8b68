"""The results of a run's activities in its history, and the seq up to which no more can come."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from longrun.store.sources import source_of
from longrun.workflows import positions
from longrun.workflows.contract.results import (
    Finished,
    ModelReply,
    Result,
    Rewound,
    ToolOutcome,
)
from longrun.workflows.contract.runs import RunOrder

R = TypeVar("R", bound=Result)


@dataclass
class Results:
    """Collected while the history is read from its beginning. Of two results with one source the first one counts.

    ``executions`` are those that were read. ``order`` is what the run was started with, ``None`` if the history's
    beginning is not kept any more. ``scheduled`` are the steps and calls that have no result yet, with the attempt up
    to which they may have started. ``settled`` is the highest seq that was written while nothing was under way:
    a seq up to it that no result names is lost for good.
    """

    run_id: str
    order: RunOrder | None = None
    executions: list[str] = field(default_factory=list[str])
    found: dict[str, Result] = field(default_factory=dict[str, Result])
    scheduled: dict[int | str, int] = field(default_factory=dict[int | str, int])
    settled: int = 0
    _rewinds: dict[int, Rewound] = field(default_factory=dict[int, Rewound])
    _top: int = 0

    def begin(self, order: RunOrder) -> None:
        """The run was started."""
        self.order = order
        self._settle(1)

    def schedule(self, what: int | str, attempt: int = 1) -> None:
        """A step (its number) or a call (its id) is under way, in this attempt or a later one."""
        self.scheduled[what] = max(attempt, self.scheduled.get(what, 1))

    def add(self, result: Result) -> None:
        """An activity gave a result back."""
        for each in positions.unfolded(result):
            self._add(each)

    def _add(self, result: Result) -> None:
        if isinstance(result, ModelReply):
            self.rewind(result.opened.rewinds)
            self.scheduled.pop(result.step, None)
        elif isinstance(result, ToolOutcome):
            self.scheduled.pop(result.call_id, None)
        elif isinstance(result, Finished):
            self.rewind(result.rewinds)
            self.scheduled.clear()
        self.found.setdefault(source_of(result), result)
        self._settle(positions.last_seq(result, self.run_id))

    def rewind(self, rewinds: Iterable[Rewound]) -> None:
        """Resets have taken back a part of the log."""
        for rewound in rewinds:
            self._rewinds[rewound.stamp.first] = rewound
            self._settle(rewound.stamp.first)

    def _settle(self, seq: int) -> None:
        self._top = max(self._top, seq)
        if not self.scheduled:
            self.settled = self._top

    @property
    def rewinds(self) -> tuple[Rewound, ...]:
        """The resets whose notices stand, in order: a later one may have taken back an earlier one's."""
        known = [self._rewinds[seq] for seq in sorted(self._rewinds)]
        return tuple(r for r in known if not any(by.first <= r.stamp.first <= by.last for by in known))

    @property
    def all(self) -> list[Result]:
        """The results and the resets that stand, in the order of their events."""
        return sorted((*self.found.values(), *self.rewinds), key=positions.first_seq)

    def of(self, kind: type[R]) -> list[R]:
        """Those of a kind."""
        return [result for result in self.all if isinstance(result, kind)]

    @property
    def finished(self) -> Finished | None:
        """The run's end."""
        return next(iter(self.of(Finished)), None)
