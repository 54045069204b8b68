"""A run while its workflow executes: the state that the loop and its steps share."""

from dataclasses import dataclass, field
from datetime import datetime

from longrun.workflows.contract.messages import Usage
from longrun.workflows.contract.requests import Pause
from longrun.workflows.contract.runs import Decision, Outcome, Phase, RunOrder, RunState, Snapshot
from longrun.workflows.inbox import Inbox


@dataclass
class Entered:
    """Where a step began: the turn, the usage until then; and the decisions that it has used."""

    turn: int
    usage: Usage
    decisions: list[Decision] = field(default_factory=list[Decision])


@dataclass
class Run:
    """What was ordered, how far the run has come, and what it waits for.

    ``started_at`` is when the first execution started; ``acknowledged`` is the last step whose message the run has.
    ``pause`` is open while the run waits for people; ``stop`` is the outcome of a run that must not go on.
    ``cut`` says that the limit of an answer's length has cut calls of the last one.
    ``entered`` is where the step began, and what its calls were decided by so far.
    """

    order: RunOrder
    started_at: datetime
    step: int
    turn: int
    acknowledged: int
    usage: Usage
    inbox: Inbox
    entered: Entered
    phase: Phase = "starting"
    cut: bool = False
    pause: Pause | None = None
    stop: Outcome | None = None

    @classmethod
    def started(cls, state: RunState, now: datetime) -> "Run":
        """A run at the start of an execution."""
        return cls(
            order=state.order,
            started_at=state.started_at or now,
            step=state.step,
            turn=state.turn,
            acknowledged=max(state.step, state.acknowledged),
            usage=state.usage,
            inbox=Inbox(state.decisions, state.messages, state.message_ids, state.noted),
            entered=Entered(state.turn, state.usage),
        )

    def enter_step(self) -> bool:
        """Begin the next step; whether an earlier execution has had its message."""
        self.step += 1
        self.entered = Entered(self.turn, self.usage)
        return self.step <= self.acknowledged

    def take_decision(self, call_id: str) -> Decision | None:
        """Take the decision on a call of this step."""
        if decision := self.inbox.take_decision(call_id):
            self.entered.decisions.append(decision)
        return decision

    def snapshot(self) -> Snapshot:
        """What the query ``status`` answers."""
        pending = self.pause.calls if self.pause else ()
        return Snapshot(
            run_id=self.order.run_id,
            phase=self.phase,
            step=self.step,
            turn=self.turn,
            pending=pending,
            decided=self.inbox.decided(call.call_id for call in pending),
            expires_at=self.pause.expires_at if self.pause else None,
            usage=self.usage,
            limits=self.order.limits,
        )
