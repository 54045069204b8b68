"""A run while its workflow executes: the state that the loop and its steps share."""

from dataclasses import dataclass
from datetime import datetime

from longrun.workflows.contract.messages import Usage
from longrun.workflows.contract.requests import Pause
from longrun.workflows.contract.runs import Outcome, Phase, RunOrder, RunState, Snapshot
from longrun.workflows.inbox import Inbox


@dataclass
class Run:
    """What was ordered, how far the run has come, and what it waits for.

    ``started_at`` is when the first execution started; ``acknowledged`` is the last step whose message the run has.
    ``pause`` is open while the run waits for people; ``stop`` is the outcome of a run that must not go on.
    """

    order: RunOrder
    started_at: datetime
    step: int
    turn: int
    acknowledged: int
    usage: Usage
    inbox: Inbox
    phase: Phase = "starting"
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
            acknowledged=state.step,
            usage=state.usage,
            inbox=Inbox(state.decisions, state.messages, state.message_ids),
        )

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
