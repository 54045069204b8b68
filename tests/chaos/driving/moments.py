"""The matrix: who is killed, at which moment, with which provider."""

import random
from dataclasses import dataclass
from typing import Literal, NamedTuple

from typing_extensions import override

from longrun.runtime.failpoints import Failpoint
from tests.chaos.driving.kinds import KindName, ProviderKind
from tests.nursery import Kind

Victim = Literal["worker", "gateway", "Temporal", "all"]
VICTIMS: tuple[Victim, ...] = ("worker", "gateway", "Temporal", "all")
PROVIDERS: tuple[ProviderKind, ...] = ("re-attachable", "not")
WAITS = "waits"
"""Instead of a failpoint: no process stops, and the kill comes when the run waits."""


class At(NamedTuple):
    """A failpoint, the kind of process that stops there, up to the how many-th time, and the runs that reach it."""

    failpoint: Failpoint | Literal["waits"]
    stops: Kind = "worker"
    most: int = 1
    kind: KindName | None = None


@dataclass(frozen=True)
class Moment:
    """A moment: the kind of run that comes to it, and its failpoints."""

    name: str
    kind: KindName
    failpoints: tuple[At, ...]
    unnamed: tuple[At, ...] = ()

    def draw(self, provider: ProviderKind, turn: int, rng: random.Random) -> tuple[At, str]:
        """One of its failpoints, which take turns, and the value of ``LONGRUN_STOP_AT`` for it."""
        failpoints = self.unnamed if self.unnamed and provider == "not" else self.failpoints
        at = failpoints[turn % len(failpoints)]
        return at, f"{at.failpoint}#{rng.randint(1, at.most)}"


_MOMENTS = (
    Moment("run accepted", "talk", (At("run accepted", "gateway", 3),)),
    Moment("before first token", "talk", (At("answer identified", most=3),), (At("model called", most=3),)),
    Moment("mid-text", "talk", (At("text written", most=40),)),
    Moment("mid-tool-arguments", "strike", (At("arguments written", most=20),)),
    Moment("after commit before return", "talk", (At("message written", most=3),)),
    Moment("read tool", "look", (At("read started"), At("read ended", most=2), At("result written"))),
    Moment(
        "write tool", "strike", (At("write started", most=3), At("write ended", most=3), At("result written", most=3))
    ),
    Moment("waiting for approval", "pay", (At("pause written", most=2), At(WAITS), At(WAITS))),
    Moment(
        "decision just sent",
        "pay",
        (At("decision accepted", "gateway"), At("decision delivered", "gateway", 2), At("verdict written", most=2)),
    ),
    Moment(
        "cancel just sent",
        "cancel",
        (
            At("cancel accepted", "gateway", 2),
            At("message written", most=2),
            At("cancel accepted", "gateway", 2, kind="halt"),
            At("result written", kind="halt"),
            At("cancel accepted", "gateway", 2, kind="leave"),
            At("verdict written", kind="regret"),
        ),
    ),
    Moment("finishing", "talk", (At("finishing", most=2), At("finished", most=2))),
    Moment("between runs of a thread", "pair", (At("thread passed on", most=2),)),
)
MOMENTS = {moment.name: moment for moment in _MOMENTS}


@dataclass(frozen=True)
class Cell:
    """A cell of the matrix."""

    victim: Victim
    moment: str
    provider: ProviderKind

    @override
    def __str__(self) -> str:
        """As ``--only`` takes it."""
        return f"{self.victim}/{self.moment}/{self.provider}"


CELLS = tuple(Cell(victim, name, provider) for victim in VICTIMS for name in MOMENTS for provider in PROVIDERS)
