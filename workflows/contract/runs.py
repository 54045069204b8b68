"""A run as its callers see it: what is ordered, how far it has come, what it waits for, how it ended."""

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field, JsonValue, model_validator

from longrun.workflows.contract.agents import AgentSpec
from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.messages import Message, Usage
from longrun.workflows.contract.shape import Shape

TASK_QUEUE = "longrun"

RunStatus = Literal["queued", "running", "waiting", "completed", "failed", "cancelled"]
"""``queued → running ⇄ waiting → completed | failed | cancelled``; the last three are final."""

FINAL: frozenset[RunStatus] = frozenset({"completed", "failed", "cancelled"})
OPEN: frozenset[RunStatus] = frozenset({"queued", "running", "waiting"})

StopReason = Literal[
    "end_turn",
    "max_output",
    "content_filter",
    "refusal",
    "max_steps",
    "tool_rule",
    "requires_approval",
    "budget",
    "cancelled",
    "error",
    "llm_api_error",
    "invalid_llm_response",
    "context_overflow",
    "expired",
    "terminated",
]
"""Why a run, or a turn of it (``requires_approval``), ended.

``max_output``, ``content_filter``, ``refusal``: the model's last answer was cut at its limit, was cut by its host, or
declines.
"""

Phase = Literal["starting", "model", "tools", "waiting", "finishing", "finished"]

Verdict = Literal["approve", "deny", "edit", "answer"]

OnBusy = Literal["queue", "reject"]
"""What becomes of a start on a thread that works on another run: it waits, or it is refused."""


_LONGEST_ID = 300
_LONGEST_CALL_ID = 5000
_LONGEST_REASON = 20_000
_MAX_SECONDS = 10 * 366 * 24 * 3600.0


class Limits(Shape):
    """Where a run ends by itself. ``max_steps`` counts model calls; the others are seconds."""

    max_steps: int = Field(default=50, ge=1, le=100_000)
    deadline: float | None = Field(default=None, gt=0, le=_MAX_SECONDS)
    approval_timeout: float = Field(default=7 * 24 * 3600.0, gt=0, le=_MAX_SECONDS)


class RunOrder(Shape):
    """What a run is asked to do. ``accepted_at`` is the time of its ``run.accepted`` event, seq 1."""

    run_id: str
    thread_id: str
    agent: AgentSpec
    input: Message
    limits: Limits = Limits()
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    accepted_at: AwareDatetime


class Decision(Shape):
    """The signal ``decide``: a reviewer's decision on one waiting call. Plain JSON from anywhere will do.

    ``edit`` runs the call with ``args`` in place of the model's; ``answer`` does not run it and gives ``answer`` as
    its result; ``deny`` does not run it and tells the model the ``reason``. ``id`` tells two equal decisions apart.
    """

    call_id: str = Field(max_length=_LONGEST_CALL_ID)
    decision: Verdict
    args: dict[str, JsonValue] | None = None
    answer: str | None = None
    reason: str | None = Field(default=None, max_length=_LONGEST_REASON)
    by: str = Field(default="unknown", max_length=_LONGEST_ID)
    id: str | None = Field(default=None, max_length=_LONGEST_ID)

    @model_validator(mode="after")
    def _is_whole(self) -> "Decision":
        if self.decision == "edit" and self.args is None:
            raise ValueError("the decision edit needs args, an object: what the call is run with")
        if self.decision == "answer" and self.answer is None:
            raise ValueError("the decision answer needs answer, a text: what the model is given as the result")
        return self


class Cancel(Shape):
    """The signal ``cancel``: end the run now."""

    reason: str | None = Field(default=None, max_length=_LONGEST_REASON)
    by: str = Field(default="unknown", max_length=_LONGEST_ID)


class Said(Shape):
    """The signal ``say``: a user's message that joins the conversation at the next step. ``id`` makes it idempotent."""

    text: str
    by: str = Field(default="unknown", max_length=_LONGEST_ID)
    id: str | None = Field(default=None, max_length=_LONGEST_ID)


class PendingApproval(Shape):
    """A call that waits for a decision. ``call_id`` is what a decision names.

    For a call that was interrupted and may have had its effect, ``call_id`` is an id of the question's own, and
    ``interrupted`` is the call's. ``approve`` and ``edit`` run it again, ``deny`` does not, ``answer`` gives its
    result.
    """

    call_id: str
    name: str
    arguments: str
    step: int
    reason: str = ""
    interrupted: str | None = None


class Snapshot(Shape):
    """What the query ``status`` answers."""

    run_id: str
    phase: Phase
    step: int
    turn: int
    pending: tuple[PendingApproval, ...] = ()
    decided: tuple[Decision, ...] = ()
    expires_at: datetime | None = None
    usage: Usage = Usage()
    limits: Limits = Limits()


class Outcome(Shape):
    """How a run ended."""

    status: Literal["completed", "failed", "cancelled"]
    stop_reason: StopReason
    error: ErrorInfo | None = None
    cancel: Cancel | None = None


class RunState(Shape):
    """What an execution of a run starts with: the gateway makes the first one, and each execution that of the next.

    ``order`` has its texts in the first execution only. ``started_at`` is when the first execution started; that one
    gets ``None``. ``step`` is the last one that is over; of a run that waits in a step, the message of that one is
    ``acknowledged`` too. ``decisions`` are those received before their call was known, and those of that step;
    ``messages`` wait for the next step; ``message_ids`` are those of the messages received last: a signal that is
    delivered twice counts once. ``noted`` counts the ignored signals that the log tells of.
    """

    order: RunOrder
    started_at: AwareDatetime | None = None
    step: int = 0
    turn: int = 1
    acknowledged: int = 0
    usage: Usage = Usage()
    noted: int = 0
    decisions: tuple[Decision, ...] = ()
    messages: tuple[Said, ...] = ()
    message_ids: tuple[str, ...] = ()
