"""What the Web UI shows of a run: the details of its workflow, and its search attributes."""

import json
import shlex
from collections.abc import Sequence

from temporalio import workflow

from longrun.workflows import search_attributes
from longrun.workflows.contract.runs import PendingApproval, Phase
from longrun.workflows.run import Run

_SHOWN = 300
_MOST_SHOWN = 10


def enter(run: Run, phase: Phase, details: str) -> None:
    """Enter a phase, and show it."""
    run.phase = phase
    workflow.set_current_details(f"**{run.order.agent.name}** · step {run.step} · {details}")


def enter_waiting(run: Run, calls: Sequence[PendingApproval]) -> None:
    """Enter the wait for people, and show what they are questions and what they may send."""
    questions = [
        f"- `{call.call_id}` {call.name} `{call.arguments[:_SHOWN]}`: {call.reason}" for call in calls[:_MOST_SHOWN]
    ]
    more = [f"- and {len(calls) - _MOST_SHOWN} more"] if len(calls) > _MOST_SHOWN else []
    decision = json.dumps({"call_id": calls[0].call_id, "decision": "approve"})
    send = f"temporal workflow signal --workflow-id {run.order.run_id} --name decide --input {shlex.quote(decision)}"
    names = ", ".join(call.name for call in calls[:_MOST_SHOWN])
    enter(run, "waiting", "\n".join([f"waits for approval of {names}", "", *questions, *more, "", f"    {send}"]))


def show_status(status: str, stop_reason: str | None = None) -> None:
    """Show the status that runs can be listed and searched by."""
    updates = search_attributes.status_updates(status, stop_reason)
    workflow.upsert_search_attributes(updates)  # pyright: ignore[reportUnknownMemberType] # untyped upstream
