"""What the HTTP API answers: runs, approvals, agents and tools as a caller sees them; shared by gateway and clients."""

from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

from longrun.workflows.contract.agents import AgentSpec, ModelParams, ToolSpec, ToolUse
from longrun.workflows.contract.attempts import AttemptEntry
from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.messages import Usage
from longrun.workflows.contract.runs import Decision, Limits, PendingApproval, RunStatus, StopReason
from longrun.workflows.contract.shape import Shape

ApprovalStatus = Literal["pending", "approved", "denied", "edited", "answered", "expired", "cancelled"]
ApprovalChoice = Literal[ApprovalStatus, "any"]
"""Which approvals of a list are wanted."""
LogView = Literal["settled", "raw"]
"""Which events of a log: all of them, or all but the superseded ones."""
Availability = Literal["ok", "unavailable", "another"]
"""``another``: what answers is not the Temporal that has the runs of the store."""


class Links(Shape):
    """The paths of a run's log: the stream, and the pages."""

    stream: str
    events: str


class RunView(Shape):
    """The state of a run. ``output`` is the text of its last message, once the run has ended."""

    id: str
    thread_id: str
    agent: AgentSpec
    status: RunStatus
    stop_reason: StopReason | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    step: int
    turn: int
    usage: Usage
    limits: Limits
    metadata: dict[str, JsonValue]
    output: str | None
    error: ErrorInfo | None
    pending_approvals: tuple[PendingApproval, ...]
    links: Links


class RunDetails(RunView):
    """The state of a run, and its attempts in the order in which they started.

    ``usage`` counts the completed attempts of model calls; ``tokens_billed`` is what all attempts have cost, in and out
    together, as far as it is known, and ``tokens_rebilled`` the share of it that went into superseded text.
    """

    attempts: tuple[AttemptEntry, ...]
    tokens_billed: int
    tokens_rebilled: int


class RunPage(Shape):
    """Runs, newest first. ``next`` is the cursor of the next page, if there may be one."""

    runs: tuple[RunView, ...]
    next: str | None


class ApprovalView(Shape):
    """A call that waits, or waited, for a decision. ``arguments`` is what it would be run with.

    ``interrupted`` is the id of the interrupted call, where ``call_id`` asks whether to run that call again.
    """

    call_id: str
    run_id: str
    step: int
    turn: int
    name: str
    arguments: str
    reason: str
    interrupted: str | None
    status: ApprovalStatus
    decision: Decision | None
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None


class ApprovalPage(Shape):
    """Approvals, newest first. ``next`` is the cursor of the next page, if there may be one."""

    approvals: tuple[ApprovalView, ...]
    next: str | None = None


class Delivered(Shape):
    """The fate of a signal: delivered to the run, accepted and kept until Temporal answers, or over: the run ended."""

    run_id: str
    delivery: Literal["delivered", "accepted", "over"]


class AgentView(Shape):
    """A kept agent."""

    id: str
    name: str
    model: str
    system: str
    tools: tuple[ToolUse, ...]
    params: ModelParams
    created_at: datetime
    updated_at: datetime


class AgentList(Shape):
    """All agents, by name."""

    agents: tuple[AgentView, ...]


class ToolList(Shape):
    """The tools that workers offer, by name; none before the first worker started."""

    tools: tuple[ToolSpec, ...]


class Health(Shape):
    """The gateway's process answers. ``down`` names what of it has died and is started again, and since when."""

    status: Literal["ok", "degraded"] = "ok"
    down: dict[str, datetime] = Field(default_factory=dict)


class Readiness(Shape):
    """Whether Temporal and the store answer. Without Temporal, runs are accepted and what is stored is streamed.

    ``missing_attributes`` are search attributes that Temporal does not know, without which it starts no run: ``longrun
    setup`` registers them. ``worker`` says whether one has polled lately.
    """

    status: Literal["ready", "not_ready"]
    temporal: Availability
    store: Availability
    missing_attributes: tuple[str, ...] = ()
    worker: Literal["ok", "none", "unknown"] = "unknown"
