"""The operations of the API, each declared once: a function from its arguments to its request.

Both clients have each of them as a method of the same name, and send what it gives.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args
from urllib.parse import quote
from uuid import uuid4

import httpx2
from pydantic import JsonValue, TypeAdapter

from longrun.client.log import EventPage
from longrun.client.request import TEXT, Request
from longrun.workflows.contract.agents import AgentSpec
from longrun.workflows.contract.runs import Decision, Limits, OnBusy, RunStatus
from longrun.workflows.contract.shape import Shape
from longrun.workflows.contract.views import (
    AgentList,
    AgentView,
    ApprovalChoice,
    ApprovalPage,
    ApprovalView,
    Delivered,
    Health,
    LogView,
    Readiness,
    RunDetails,
    RunPage,
    ToolList,
)

T = TypeVar("T")
Json = Mapping[str, Any]
"""A JSON object, where a shape would not allow the short forms that the API takes."""

_RUNS, _APPROVALS, _AGENTS = "/api/runs", "/api/approvals", "/api/agents"


def start_run(  # noqa: PLR0913 - one argument for each field of the request
    agent: str | AgentSpec | Json,
    prompt: str | Json,
    *,
    thread_id: str | None = None,
    limits: Limits | None = None,
    metadata: Mapping[str, JsonValue] | None = None,
    on_busy: OnBusy | None = None,
    idempotency_key: str | None = None,
) -> Request[RunDetails]:
    """Start a run: once, even if the answer is lost and the request repeated.

    Args:
        agent: The name or id of a kept agent, or an agent for this run alone.
        prompt: What the user says: text, or a message of parts.
        thread_id: The conversation that the run joins.
        limits: Where the run ends by itself.
        metadata: The caller's own, kept with the run.
        on_busy: What becomes of the start while the thread works on another run; by default it waits.
        idempotency_key: One of the caller's own, so that a start is one even if the caller's process is restarted.
    """
    body = {
        "agent": agent if isinstance(agent, str) else _as_json(agent),
        "input": prompt,
        "thread_id": thread_id,
        "limits": _as_json(limits) if limits else None,
        "metadata": metadata,
        "on_busy": on_busy,
    }
    headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
    return Request("POST", _RUNS, _shape(RunDetails), body=_given(body), headers=headers)


def get_run(run_id: str) -> Request[RunDetails]:
    """The state of a run, its attempts and what they cost."""
    return Request("GET", _path(_RUNS, run_id), _shape(RunDetails))


def list_runs(
    *,
    status: RunStatus | None = None,
    agent: str | None = None,
    thread: str | None = None,
    limit: int | None = None,
    before: str | None = None,
) -> Request[RunPage]:
    """A page of runs, newest first; ``before`` is the ``next`` of the page before."""
    params = {"status": status, "agent": agent, "thread": thread, "limit": limit, "before": before}
    return Request("GET", _RUNS, _shape(RunPage), params)


def cancel_run(run_id: str, reason: str | None = None, by: str | None = None) -> Request[Delivered]:
    """End a run; ``over`` if it has ended already."""
    body = _given({"reason": reason, "by": by})
    return Request("POST", _path(_RUNS, run_id, "cancel"), _shape(Delivered), body=body)


def say_to_run(run_id: str, text: str, by: str | None = None, message_id: str | None = None) -> Request[Delivered]:
    """Add a user's message to a run that has not ended: the model sees it at its next step, once."""
    body = _given({"text": text, "by": by, "id": message_id or str(uuid4())})
    return Request("POST", _path(_RUNS, run_id, "messages"), _shape(Delivered), body=body)


def get_result(run_id: str, call_id: str) -> Request[str]:
    """The whole result of a tool call, of which the log has only the beginning if it is long."""
    # In the query and not in the path, where a slash or dots in an id may not survive the way.
    return Request("GET", _path(_RUNS, run_id, "results"), _text, {"call_id": call_id}, media_type=TEXT)


def list_events(
    run_id: str, after: int = 0, limit: int | None = None, view: LogView | None = None
) -> Request[EventPage]:
    """A page of a run's log as far as it goes now: at most ``limit`` events after the seq ``after``."""
    params = {"starting_after": after, "limit": limit, "view": view}
    return Request("GET", _path(_RUNS, run_id, "events"), _shape(EventPage), params)


def list_approvals(
    *,
    status: ApprovalChoice = "pending",
    run_id: str | None = None,
    limit: int | None = None,
    before: str | None = None,
) -> Request[ApprovalPage]:
    """A page of the calls that wait for a decision, or with another ``status`` of those that did, newest first.

    ``before`` is the ``next`` of the page before.
    """
    params = {"status": status, "run_id": run_id, "limit": limit, "before": before}
    return Request("GET", _APPROVALS, _shape(ApprovalPage), params)


def decide(decision: Decision, run_id: str | None = None) -> Request[ApprovalView | Delivered]:
    """Decide a call. The first decision counts: a later one is refused with an ``ApiError`` of status 409.

    Args:
        decision: Names the call. Without ``id`` it gets one, so that a repeat is the same decision.
        run_id: Needed where two runs wait with the same call id, and before the run asks for the call: the answer is
            ``Delivered`` then, and the decision is kept.
    """
    body = {**_given(decision.model_dump(mode="json")), **_given({"run_id": run_id})}
    body.setdefault("id", str(uuid4()))
    return Request("POST", _APPROVALS, _decided, body=body)


def create_agent(agent: AgentSpec | Json) -> Request[AgentView]:
    """Keep an agent under its name. Without a model it gets the server's."""
    return Request("POST", _AGENTS, _shape(AgentView), body=_as_json(agent), repeatable=False)


def list_agents() -> Request[AgentList]:
    """All kept agents by name."""
    return Request("GET", _AGENTS, _shape(AgentList))


def get_agent(agent_id: str) -> Request[AgentView]:
    """A kept agent, by id or by name."""
    return Request("GET", _path(_AGENTS, agent_id), _shape(AgentView))


def update_agent(agent_id: str, changes: Json) -> Request[AgentView]:
    """Replace fields of a kept agent. Runs that were started keep the agent as it was."""
    return Request("PATCH", _path(_AGENTS, agent_id), _shape(AgentView), body=changes)


def delete_agent(agent_id: str) -> Request[None]:
    """Delete a kept agent. Its runs stay."""
    return Request("DELETE", _path(_AGENTS, agent_id), _nothing, repeatable=False)


def list_tools() -> Request[ToolList]:
    """The tools that workers offer."""
    return Request("GET", "/api/tools", _shape(ToolList))


def get_health() -> Request[Health]:
    """Whether the gateway's process answers."""
    return Request("GET", "/api/health", _shape(Health))


def get_readiness() -> Request[Readiness]:
    """Whether Temporal and the store answer the gateway."""
    return Request("GET", "/api/ready", _shape(Readiness), statuses=frozenset({503}))


def get_openapi() -> Request[dict[str, Any]]:
    """The OpenAPI document of the API."""
    return Request("GET", "/openapi.json", _object)


def describe(method: Callable[..., Any], operation: Callable[..., Request[Any]]) -> None:
    """Give a client's method the name, the docstring and the signature of its operation, for ``help``."""
    signature = inspect.signature(operation)
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY), *signature.parameters.values()]
    (result,) = get_args(signature.return_annotation)
    method.__name__ = method.__qualname__ = operation.__name__
    method.__doc__ = operation.__doc__
    vars(method)["__signature__"] = signature.replace(parameters=parameters, return_annotation=result)


def _path(*segments: str) -> str:
    first, *others = segments
    return "/".join([first, *(quote(each, safe="") for each in others)])


def _given(fields: Json) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _as_json(given: Shape | Json) -> Json:
    return given.model_dump(mode="json", exclude_unset=True) if isinstance(given, Shape) else given


S = TypeVar("S", bound=Shape)


def _shape(shape: type[S]) -> Callable[[httpx2.Response], S]:
    return lambda response: shape.model_validate_json(response.content)


_DECIDED: TypeAdapter[ApprovalView | Delivered] = TypeAdapter(ApprovalView | Delivered)


def _decided(response: httpx2.Response) -> ApprovalView | Delivered:
    return _DECIDED.validate_json(response.content)


def _text(response: httpx2.Response) -> str:
    return response.text


def _object(response: httpx2.Response) -> dict[str, Any]:
    return response.json()


def _nothing(_response: httpx2.Response) -> None:
    return None
