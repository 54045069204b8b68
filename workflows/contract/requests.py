"""What a run asks of the world: references (run, step, call) and decisions, never conversations."""

import json
from collections.abc import Iterable
from datetime import datetime

from pydantic import JsonValue

from longrun.workflows.contract.messages import ResultStatus, Usage
from longrun.workflows.contract.runs import Decision, Outcome, PendingApproval, Said
from longrun.workflows.contract.shape import Shape


class ModelCall(Shape):
    """Ask the model for step ``step``. ``said`` joins the conversation before it.

    ``answered``: an earlier execution of the run has had its message, which is to be given back.
    """

    run_id: str
    step: int
    said: tuple[Said, ...] = ()
    answered: bool = False


class CallPlan(Shape):
    """What the run must know of a call of a tool that it may use.

    ``timeout`` is how long the call may take, in seconds; ``ask`` why a person must agree, ``None`` if nobody must;
    ``refusal`` what the model is told instead, because the tool cannot be run with such arguments.
    """

    timeout: float
    ask: str | None = None
    refusal: str | None = None


class ToolCall(Shape):
    """Run one call. ``args`` replaces the model's arguments where a reviewer edited them.

    ``again`` is the number of the attempt that a person has agreed to, of a call that was interrupted.
    """

    run_id: str
    step: int
    call_id: str
    name: str
    args: dict[str, JsonValue] | None = None
    again: int = 0

    @property
    def edited(self) -> str | None:
        """A reviewer's arguments, as JSON text."""
        return None if self.args is None else json.dumps(self.args, separators=(",", ":"))


class Answer(Shape):
    """A result for a call that is not run: denied, answered by a reviewer, unknown, failed for good."""

    call_id: str
    name: str
    status: ResultStatus
    content: str


class Answers(Shape):
    """Give these calls of a step their results."""

    run_id: str
    step: int
    answers: tuple[Answer, ...]


class Pause(Shape):
    """End the turn: these calls wait."""

    run_id: str
    step: int
    turn: int
    calls: tuple[PendingApproval, ...]
    expires_at: datetime
    usage: Usage


class Stopping(Shape):
    """The calls of a run are cancelled: their workers are to learn of it at once."""

    run_id: str


class Verdicts(Shape):
    """Record decisions and expired calls; ``resume`` begins the next turn with them."""

    run_id: str
    step: int
    turn: int
    decisions: tuple[Decision, ...] = ()
    expired: tuple[str, ...] = ()
    resume: bool

    @property
    def call_ids(self) -> tuple[str, ...]:
        """The calls that are decided or expired."""
        return (*(decision.call_id for decision in self.decisions), *self.expired)

    @classmethod
    def of(
        cls, pause: Pause, *, decisions: Iterable[Decision] = (), expired: Iterable[str] = (), resume: bool
    ) -> "Verdicts":
        """What was decided about the calls of a pause."""
        return cls(
            run_id=pause.run_id,
            step=pause.step,
            turn=pause.turn,
            decisions=tuple(decisions),
            expired=tuple(expired),
            resume=resume,
        )


class IgnoredSignal(Shape):
    """A signal that changes nothing, and why."""

    signal: str
    reason: str


class Ignore(Shape):
    """Note that signals are ignored; ``index`` is the number of those that were noted before.

    ``acknowledged`` is the last step whose message the run knows.
    """

    run_id: str
    step: int
    turn: int
    acknowledged: int
    index: int
    signals: tuple[IgnoredSignal, ...]


class Finish(Shape):
    """End the run. ``acknowledged`` is the last step whose message the run knows, ``None`` where nobody can say.

    ``drains``: it goes on instead if users' messages were accepted for it that no step has.
    """

    run_id: str
    turn: int
    outcome: Outcome
    usage: Usage
    acknowledged: int | None = None
    drains: bool = False
