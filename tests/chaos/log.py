"""A run's log as the rules read it: its events, what of them was superseded, what stands."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from longrun.workflows.contract.events import (
    EVENT,
    AttemptSuperseded,
    Event,
    ReasoningCompleted,
    ReasoningDelta,
    RunResumed,
    TextCompleted,
    TextDelta,
    ToolCallCompleted,
    ToolCallDelta,
    encode,
)

Delta = TextDelta | ReasoningDelta | ToolCallDelta
Whole = TextCompleted | ReasoningCompleted | ToolCallCompleted


def _reset(line: bytes) -> range | None:
    """What a ``run.resumed`` takes back, if it comes from a reset."""
    fields = json.loads(line)
    return range(fields["from"], fields["to"] + 1) if {"from", "to"} <= fields.keys() else None


@dataclass(frozen=True)
class Log:
    """A log. ``resets`` has what each ``run.resumed`` takes back that comes from a reset, by its seq."""

    events: tuple[Event, ...]
    resets: dict[int, range]

    @classmethod
    def of_lines(cls, lines: Iterable[bytes]) -> "Log":
        """The log in JSON lines."""
        read = [(EVENT.validate_json(line), line) for line in lines]
        resumed = [(event.seq, _reset(line)) for event, line in read if isinstance(event, RunResumed)]
        return cls(tuple(event for event, _ in read), {seq: rewound for seq, rewound in resumed if rewound})

    @classmethod
    def of_events(cls, events: Iterable[Event]) -> "Log":
        """The log in events."""
        read = tuple(events)
        resumed = [(event.seq, _reset(encode(event))) for event in read if isinstance(event, RunResumed)]
        return cls(read, {seq: rewound for seq, rewound in resumed if rewound})

    @cached_property
    def _taken_back(self) -> set[int]:
        return {seq for each in self.resets.values() for seq in each}

    @cached_property
    def life(self) -> tuple[Event, ...]:
        """The events that no reset took back."""
        return tuple(event for event in self.events if event.seq not in self._taken_back)

    @cached_property
    def removed(self) -> frozenset[int]:
        """The seqs that do not stand: the text of superseded attempts, and what resets took back."""
        notices = [event for event in self.events if isinstance(event, AttemptSuperseded)]
        texts = [event for event in self.events if isinstance(event, Delta | Whole)]
        superseded = {
            event.seq
            for notice in notices
            for event in texts
            if notice.first <= event.seq <= notice.last and (event.step, event.attempt) == (notice.step, notice.attempt)
        }
        return frozenset(superseded | self._taken_back)

    @cached_property
    def effective(self) -> tuple[Event, ...]:
        """The events that stand."""
        return tuple(event for event in self.events if event.seq not in self.removed)

    @property
    def may_be_missing(self) -> set[int]:
        """The seqs that a settled log need not have."""
        notices = [event for event in self.events if isinstance(event, AttemptSuperseded)]
        return self._taken_back | {seq for notice in notices for seq in range(notice.first, notice.last + 1)}


def some(values: Iterable[object], most: int = 5) -> str:
    """The first few of the values, and how many more there are."""
    every = [str(value) for value in values]
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
