"""How the workflow of a run is started: once per run, readable in the Web UI."""

from contextlib import suppress
from datetime import timedelta
from typing import TypedDict

from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from longrun.workflows.agent_run import AgentRun
from longrun.workflows.contract.runs import RunOrder, RunState
from longrun.workflows.search_attributes import AGENT_NAME, RUN_STATUS, THREAD_ID

TASK_TIMEOUT = timedelta(seconds=5)
_SUMMARY_BYTES = 180


class StartOptions(TypedDict):
    """The keyword arguments of ``Client.start_workflow`` that follow from the order."""

    id: str
    id_reuse_policy: WorkflowIDReusePolicy
    id_conflict_policy: WorkflowIDConflictPolicy
    task_timeout: timedelta
    static_summary: str
    search_attributes: TypedSearchAttributes


def start_options(order: RunOrder) -> StartOptions:
    """The options with which a second start of a run finds the first: the workflow id is the run's id."""
    summary = " ".join(f"{order.agent.name}: {order.input.text}".split())
    return StartOptions(
        id=order.run_id,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        task_timeout=TASK_TIMEOUT,
        static_summary=summary.encode()[:_SUMMARY_BYTES].decode(errors="ignore"),
        search_attributes=TypedSearchAttributes(
            [
                SearchAttributePair(RUN_STATUS, "running"),
                SearchAttributePair(AGENT_NAME, order.agent.name),
                SearchAttributePair(THREAD_ID, order.thread_id),
            ]
        ),
    )


async def start_run(client: Client, order: RunOrder, task_queue: str, rpc_timeout: timedelta | None = None) -> None:
    """Start the workflow of an accepted run; one that was started before is left as it is.

    Raises:
        RPCError: Temporal refused, or did not answer.
    """
    with suppress(WorkflowAlreadyStartedError):
        await client.start_workflow(
            AgentRun.run, RunState(order=order), task_queue=task_queue, rpc_timeout=rpc_timeout, **start_options(order)
        )
