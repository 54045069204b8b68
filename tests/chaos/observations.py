"""What was observed of runs: by their viewers, in their logs, at the provider, by their tools. Plain values, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from longrun.workflows.contract.agents import Effect, OnInterrupt
from longrun.workflows.contract.attempts import AttemptEntry
from longrun.workflows.contract.messages import Usage
from longrun.workflows.contract.runs import RunStatus, Verdict
from longrun.workflows.contract.shape import Shape
from tests.chaos.log import Log

View = Literal["raw", "settled"]


@dataclass(frozen=True)
class PlannedTurn:
    """What the model was told to say in one step. ``calls`` names the tools that it calls."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[str, ...] = ()


def turn_text(turn: int, count: int, kind: Literal["w", "r"] = "w") -> str:
    """A turn's text (``w``) or reasoning (``r``): words that each say where they belong."""
    return "".join(f"t{turn}{kind}{index} " for index in range(count))


@dataclass(frozen=True)
class ExpectedTool:
    """A tool of the run, as it was declared."""

    name: str
    effect: Effect = "write"
    on_interrupted: OnInterrupt = "ask"


@dataclass(frozen=True)
class RunRequest:
    """What the driver asked for.

    ``accepted`` says that the server took the run; ``plan`` is ``None`` where the words are not known; ``background``
    says that the provider's answers can be taken up again; ``may_fail``, that the run was led to fail.
    """

    run_id: str
    thread_id: str
    label: str = ""
    accepted: bool = True
    plan: tuple[PlannedTurn, ...] | None = None
    tools: tuple[ExpectedTool, ...] = ()
    background: bool = False
    may_fail: bool = False


class Frame(NamedTuple):
    """One SSE frame as it came."""

    id: int
    event: str
    data: bytes


End = Literal["cut", "closed", "ended"]
"""``cut`` by the viewer; ``closed`` by the other side, or lost, without an end; ``ended`` cleanly, or by a 204."""


@dataclass(frozen=True)
class Connection:
    """One connection of a viewer; ``view`` is ``None`` where it left the view to the server."""

    starting_after: int
    view: View | None
    frames: tuple[Frame, ...]
    end: End


@dataclass(frozen=True)
class Viewer:
    """A viewer of a run, who comes back with the last id that it has seen."""

    name: str
    connections: tuple[Connection, ...]

    @property
    def first_cursor(self) -> int:
        """After which event it began."""
        return self.connections[0].starting_after if self.connections else 0

    @property
    def frames(self) -> list[Frame]:
        """All that it got, in the order in which it came."""
        return [frame for connection in self.connections for frame in connection.frames]


class Bill(Shape):
    """A request that the provider counted: a line of its bill. ``turn`` counts from 0."""

    id: str
    wire: str
    label: str
    turn: int
    tokens_in: int
    tokens_out: int
    background: bool = False
    status: Literal["running", "completed", "abandoned", "cancelled"] = "completed"
    streams: int = 1
    polls: int = 0
    violations: tuple[str, ...] = ()

    @property
    def step(self) -> int:
        """The run's step that it answers."""
        return self.turn + 1


class EffectSeen(NamedTuple):
    """A line that a tool wrote when it did its work."""

    call_id: str
    attempt: int


@dataclass(frozen=True)
class DecisionSent:
    """A decision and its answer: ``counted`` (200), ``refused`` (409), ``accepted`` (202), ``error``: nobody knows."""

    call_id: str
    decision: Verdict
    by: str
    id: str | None
    answered: Literal["counted", "refused", "accepted", "error"]


@dataclass(frozen=True)
class CancelSent:
    """A cancel and its answer; ``error``: nobody knows. ``head`` is the log's last seq when the answer had come."""

    by: str
    answered: Literal["delivered", "accepted", "over", "error"]
    head: int | None = None


class ShownRun(Shape):
    """What the rules read of ``GET /api/runs/{id}``. Tokens come as one number or as a usage."""

    status: RunStatus
    output: str | None = None
    usage: Usage = Usage()
    attempts: tuple[AttemptEntry, ...] = ()
    tokens_billed: int | Usage | None = None
    tokens_rebilled: int | Usage | None = None


def tokens(count: int | Usage | None) -> int:
    """In and out together."""
    if isinstance(count, Usage):
        return (count.input_tokens or 0) + (count.output_tokens or 0)
    return count or 0


@dataclass(frozen=True)
class RunObserved:
    """All that was observed of one run.

    ``raw`` and ``settled`` are its log as the pages give it at the end, ``stored`` the rows of the database,
    ``rebuilt`` the log that history tells (what stands); the last two and ``run`` are ``None`` where nobody looked.
    """

    request: RunRequest
    viewers: tuple[Viewer, ...] = ()
    raw: tuple[bytes, ...] = ()
    settled: tuple[bytes, ...] = ()
    stored: tuple[bytes, ...] | None = None
    rebuilt: tuple[bytes, ...] | None = None
    run: Mapping[str, Any] | None = None
    bills: tuple[Bill, ...] = ()
    effects: tuple[EffectSeen, ...] = ()
    decisions: tuple[DecisionSent, ...] = ()
    cancels: tuple[CancelSent, ...] = ()

    @cached_property
    def log(self) -> Log:
        """The raw log, read."""
        return Log.of_lines(self.raw)

    @cached_property
    def shown(self) -> ShownRun | None:
        """The run as it is shown, read."""
        return None if self.run is None else ShownRun.model_validate(self.run)


@dataclass(frozen=True)
class Observed:
    """What was observed of all runs."""

    runs: tuple[RunObserved, ...]
