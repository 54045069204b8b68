"""The source of a result within its run: the key under which the journal has it, and a history is searched for it."""

from collections.abc import Callable
from typing import Any

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

END = "end"
"""The source of a run's end."""

_SOURCES: dict[type[Result], Callable[[Any], str]] = {
    StepOpened: lambda result: f"step:{result.step}:opened",
    Superseded: lambda result: f"step:{result.step}:superseded:{result.attempt}",
    Failed: lambda result: f"step:{result.step}:failed:{result.attempt}",
    ModelReply: lambda result: f"step:{result.step}:reply",
    CallStarted: lambda result: f"call:{result.call_id}:started",
    Progress: lambda result: f"call:{result.call_id}:progress:{result.attempt}:{result.index}",
    ToolOutcome: lambda result: f"call:{result.call_id}:outcome",
    Paused: lambda result: f"pause:{result.pause.turn}",
    Recorded: lambda result: f"verdicts:{result.verdicts.turn}:{','.join(result.verdicts.call_ids)}",
    Ignored: lambda result: f"ignored:{result.ignore.index}",
    Finished: lambda _result: END,
    Rewound: lambda result: f"rewind:{result.last + 1}",
}
KINDS = {kind.__name__: kind for kind in _SOURCES}
"""The types of results, by their names."""


def source_of(result: Result) -> str:
    """The key of a result within its run: the same one however often the result is given back."""
    return _SOURCES[type(result)](result)
