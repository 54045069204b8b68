"""Agents that runs can be started with, and the tools that they may use."""

from starlette.requests import Request
from starlette.responses import Response

from longrun.gateway.http.incoming import check, read_json
from longrun.gateway.http.operations import Answer, Operation
from longrun.gateway.http.problems import FieldError, ProblemError, wrong
from longrun.gateway.http.rendering import as_json
from longrun.gateway.native.schemas import AgentBody, AgentPatch
from longrun.gateway.native.views import agent_view
from longrun.gateway.services import Services, services_of
from longrun.runtime.clock import now
from longrun.store.db.tables import AgentRow
from longrun.workflows.contract.agents import AgentSpec
from longrun.workflows.contract.views import AgentList, AgentView, ToolList


async def checked_tools(services: Services, spec: AgentSpec, field: str) -> AgentSpec:
    """The agent, if workers offer all of its tools or none has said yet what it offers.

    Raises:
        ProblemError: Names each unknown tool, and the known ones.
    """
    known = [tool.name for tool in await services.agents.tools()] if spec.tools else []
    unknown = [(place, tool.name) for place, tool in enumerate(spec.tools) if known and tool.name not in known]
    if unknown:
        errors = [
            FieldError(field=f"{field}.{place}", message=f"there is no tool {name!r}; there are {', '.join(known)}")
            for place, name in unknown
        ]
        raise ProblemError(422, "; ".join(f"{each.field}: {each.message}" for each in errors), errors=errors)
    return spec


async def _agent_of(request: Request) -> AgentRow:
    key = request.path_params["agent_id"]
    row = await services_of(request).agents.find(key)
    if row is None:
        raise wrong("agent_id", f"there is no agent {key!r}", 404)
    return row


async def create_agent(request: Request) -> Response:
    """Keep an agent under its name."""
    services = services_of(request)
    body = check(AgentBody, await read_json(request))
    spec = await checked_tools(services, body.spec(services.settings.model), "tools")
    row = await services.agents.create(spec, now())
    return as_json(agent_view(row), 201, {"Location": f"/api/agents/{row.id}"})


async def list_agents(request: Request) -> Response:
    """List all agents by name."""
    rows = await services_of(request).agents.all()
    return as_json(AgentList(agents=tuple(map(agent_view, rows))))


async def get_agent(request: Request) -> Response:
    """One agent, by id or by name."""
    return as_json(agent_view(await _agent_of(request)))


async def change_agent(request: Request) -> Response:
    """Replace fields of an agent. Runs that were accepted keep the agent as it was."""
    services = services_of(request)
    patch = check(AgentPatch, await read_json(request))
    row = await _agent_of(request)
    merged = {**AgentSpec.model_validate_json(row.spec).model_dump(), **patch.model_dump(exclude_unset=True)}
    spec = await checked_tools(services, check(AgentBody, merged).spec(services.settings.model), "tools")
    await services.agents.update(row.id, spec, now())
    return as_json(agent_view(await _agent_by_id(services, row.id)))


async def _agent_by_id(services: Services, agent_id: str) -> AgentRow:
    row = await services.agents.find(agent_id)
    if row is None:
        raise wrong("agent_id", "was deleted meanwhile", 404)
    return row


async def delete_agent(request: Request) -> Response:
    """Forget an agent. Its runs stay."""
    row = await _agent_of(request)
    await services_of(request).agents.delete(row.id)
    return Response(status_code=204)


async def list_tools(request: Request) -> Response:
    """List the tools that workers offer."""
    return as_json(ToolList(tools=tuple(await services_of(request).agents.tools())))


OPERATIONS = (
    Operation(
        "POST",
        "/api/agents",
        create_agent,
        "Create an agent",
        (Answer(201, "The agent", AgentView),),
        body=AgentBody,
        errors=(409,),
    ),
    Operation("GET", "/api/agents", list_agents, "List agents", (Answer(200, "All agents", AgentList),)),
    Operation(
        "GET",
        "/api/agents/{agent_id}",
        get_agent,
        "Get an agent",
        (Answer(200, "The agent", AgentView),),
        errors=(404,),
    ),
    Operation(
        "PATCH",
        "/api/agents/{agent_id}",
        change_agent,
        "Change an agent",
        (Answer(200, "The agent as it is now", AgentView),),
        body=AgentPatch,
        errors=(404, 409),
    ),
    Operation(
        "DELETE",
        "/api/agents/{agent_id}",
        delete_agent,
        "Delete an agent",
        (Answer(204, "It is gone"),),
        errors=(404,),
    ),
    Operation("GET", "/api/tools", list_tools, "List tools", (Answer(200, "The tools that workers offer", ToolList),)),
)
