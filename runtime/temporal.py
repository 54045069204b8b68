"""The connection to Temporal: its address, its timeouts, and one error for a server that does not answer."""

import logging
import re
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import UTC, timedelta
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    GetClusterInfoRequest,
    RespondActivityTaskFailedByIdRequest,
    RespondActivityTaskFailedRequest,
)
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from longrun.runtime.clock import now
from longrun.runtime.plain import PlainError

logger = logging.getLogger(__name__)

RPC_TIMEOUT = timedelta(seconds=5)
"""For one attempt of an RPC."""
RETRIES = RetryConfig(max_elapsed_time_millis=2000)
"""Of one RPC. An HTTP request waits for it; the reconciler sends again what must be delivered."""

_ANSWERS = frozenset(
    {
        RPCStatusCode.NOT_FOUND,
        RPCStatusCode.INVALID_ARGUMENT,
        RPCStatusCode.ALREADY_EXISTS,
        RPCStatusCode.FAILED_PRECONDITION,
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.UNAUTHENTICATED,
    }
)
"""Refusals that a retry would not change; all other statuses mean that the server is unavailable."""

_REASON = re.compile(r'message: "([^"]+)"')
"""In the text of the SDK's own client, which shows its errors as a debugger would."""


def temporal_connection() -> dict[str, Any]:
    """The arguments for ``Client.connect``: Temporal's own environment and profiles, else ``localhost:7233``."""
    found: dict[str, Any] = {**ClientConfig.load_client_connect_config()}
    found.setdefault("target_host", "localhost:7233")
    return {**found, "data_converter": pydantic_data_converter}


class TemporalUnavailableError(PlainError):
    """Temporal did not answer."""


class WrongTemporalError(TemporalUnavailableError):
    """The Temporal that answers is not the one that has the runs of the store: nothing that it says of them counts."""


async def identity_of(client: Client) -> str:
    """Which Temporal it is: the ids of its cluster and of the namespace.

    Raises:
        TemporalUnavailableError: It did not answer.
    """
    service = client.workflow_service
    with answered():
        cluster = await service.get_cluster_info(GetClusterInfoRequest(), timeout=RPC_TIMEOUT)
        request = DescribeNamespaceRequest(namespace=client.namespace)
        namespace = await service.describe_namespace(request, timeout=RPC_TIMEOUT)
    return f"cluster {cluster.cluster_id}, namespace {client.namespace} {namespace.namespace_info.id}"


_HELD_BY_WORKER = (
    PendingActivityState.PENDING_ACTIVITY_STATE_STARTED,
    PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED,
)
_LOST = Failure(message="its worker has died", application_failure_info=ApplicationFailureInfo(type="worker_lost"))
_NEVER_RECEIVED = Failure(
    message="it has never reached its worker", application_failure_info=ApplicationFailureInfo(type="never_received")
)


async def give_back(client: Client, token: bytes) -> None:
    """Fail the attempt of an activity whose worker has died, by its task token, so that the next one begins at once.

    A token names the attempt: one that is over, or was followed by another, is left alone.

    Raises:
        TemporalUnavailableError: It did not answer.
    """
    request = RespondActivityTaskFailedRequest(task_token=token, failure=_LOST, namespace=client.namespace)
    with _unless_over():
        await client.workflow_service.respond_activity_task_failed(request, timeout=RPC_TIMEOUT)


async def give_back_of(client: Client, run_id: str, worker: str) -> None:
    """Fail what Temporal has given a worker of a run, which is dead and will not say anything any more.

    Only one process may do so for a worker: nothing tells these attempts from those that follow them.

    Raises:
        TemporalUnavailableError: It did not answer.
    """
    await _fail_held(client, run_id, worker, _LOST, lambda _: True)


async def give_back_unreceived(
    client: Client, run_id: str, worker: str, received: Callable[[str], bool], late: timedelta
) -> None:
    """Fail what Temporal has given a worker of a run and has not reached it, which only the worker itself can tell.

    Args:
        client: A client of Temporal.
        run_id: The run.
        worker: The worker.
        received: Whether an activity has reached it, by the activity's id.
        late: How long ago it must have been given out.

    Raises:
        TemporalUnavailableError: It did not answer.
    """

    def is_stray(activity: PendingActivityInfo) -> bool:
        return activity.last_started_time.ToDatetime(UTC) <= now() - late and not received(activity.activity_id)

    await _fail_held(client, run_id, worker, _NEVER_RECEIVED, is_stray)


async def _fail_held(
    client: Client, run_id: str, worker: str, failure: Failure, which: Callable[[PendingActivityInfo], bool]
) -> None:
    """Fail the activities of a run that Temporal says are at a worker."""
    found = await _described(client, run_id)
    if found is None:
        return
    for activity in found.pending_activities:
        if activity.state in _HELD_BY_WORKER and activity.last_worker_identity == worker and which(activity):
            request = RespondActivityTaskFailedByIdRequest(
                namespace=client.namespace,
                workflow_id=run_id,
                run_id=found.workflow_execution_info.execution.run_id,
                activity_id=activity.activity_id,
                failure=failure,
            )
            with _unless_over():
                await client.workflow_service.respond_activity_task_failed_by_id(request, timeout=RPC_TIMEOUT)


async def _described(client: Client, run_id: str) -> DescribeWorkflowExecutionResponse | None:
    request = DescribeWorkflowExecutionRequest(
        namespace=client.namespace, execution=WorkflowExecution(workflow_id=run_id)
    )
    with _unless_over():
        return await client.workflow_service.describe_workflow_execution(request, timeout=RPC_TIMEOUT)
    return None


@contextmanager
def _unless_over() -> Generator[None]:
    with answered():
        try:
            yield
        except RPCError as error:
            if error.status not in _ANSWERS:
                raise
            if error.status is not RPCStatusCode.NOT_FOUND:  # its heartbeat timeout does what this could not
                logger.warning("an attempt could not be given back: %s", error.message)


async def missing_attributes(
    client: Client,
    names: Iterable[str],
    timeout: timedelta = RPC_TIMEOUT,  # noqa: ASYNC109 - the RPC's own
) -> tuple[str, ...]:
    """Of these search attributes those that the client's namespace does not have.

    Raises:
        RPCError: Temporal refused.
        TemporalUnavailableError: It did not answer.
    """
    request = ListSearchAttributesRequest(namespace=client.namespace)
    with answered():
        found = await client.operator_service.list_search_attributes(request, timeout=timeout)
    return tuple(name for name in names if name not in found.custom_attributes)


@contextmanager
def answered() -> Generator[None]:
    """Call Temporal in the block.

    Raises:
        RPCError: Temporal refused.
        TemporalUnavailableError: Temporal did not answer.
    """
    try:
        yield
    except RPCError as error:
        if error.status in _ANSWERS:
            raise
        raise TemporalUnavailableError(f"Temporal did not answer: {error.message}") from error
    except RuntimeError as error:  # what a lazy client raises when it cannot connect
        raise unreachable(error) from error


def unreachable(error: RuntimeError) -> TemporalUnavailableError:
    """The error for a server that a client could not connect to, with the reason alone of what the SDK says."""
    address = temporal_connection()["target_host"]
    reason = _REASON.findall(str(error))
    why = reason[-1] if reason else str(error).partition(": tonic::")[0]
    hint = "`longrun dev` starts a server here, TEMPORAL_ADDRESS names another"
    return TemporalUnavailableError(f"Temporal cannot be reached: {address}: {why}; {hint}")
