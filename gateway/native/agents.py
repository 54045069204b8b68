"""Agents that runs can be started with, and the tools that they may use."""

from collections.abc import Generator
from contextlib import contextmanager

from longrun.gateway.http.errors import FieldError, RequestError, wrong
from longrun.gateway.http.inputs import validate
from longrun.gateway.http.operations import Answer, Operations, Reply
from longrun.gateway.native.schemas import AgentBody, AgentPatch
from longrun.gateway.service.errors import UnknownProviderError, UnknownToolsError
from longrun.gateway.services import Services
from longrun.workflows.contract.agents import AgentSpec
from longrun.workflows.contract.views import AgentList, AgentView, ToolList

operations = Operations("agents")


def spec_of(agent: AgentView) -> AgentSpec:
    """A kept agent as a run takes it."""
    return AgentSpec.model_validate(agent.model_dump(include=set(AgentSpec.model_fields)))


@contextmanager
def fields_named(agent: str = "") -> Generator[None]:
    """Refuse in the block an agent with unknown tools or an unknown provider by the path of the field.

    Args:
        agent: What stands before the fields of the agent.

    Raises:
        RequestError: Names what is unknown, and what is known.
    """
    try:
        yield
    except UnknownProviderError as error:
        raise wrong(f"{agent}model", str(error)) from error
    except UnknownToolsError as error:
        known = ", ".join(error.known)
        errors = [
            FieldError(field=f"{agent}tools.{index}", message=f"there is no tool {name!r}; there are {known}")
            for index, name in error.unknown
        ]
        detail = "; ".join(f"{each.field}: {each.message}" for each in errors)
        raise RequestError(422, detail, errors) from error


@operations.post("/api/agents", Answer(201, "The agent"), errors=(409,))
async def create_agent(services: Services, body: AgentBody) -> Reply[AgentView]:
    """Create an agent.

    Keep an agent under its name.
    """
    with fields_named():
        agent = await services.agents.create(body.spec(services.settings.model))
    return Reply(agent, 201, {"Location": f"/api/agents/{agent.id}"})


@operations.get("/api/agents", Answer(200, "All agents"))
async def list_agents(services: Services) -> AgentList:
    """List agents.

    List all agents by name.
    """
    return AgentList(agents=await services.agents.all())


@operations.get("/api/agents/{agent_id}", Answer(200, "The agent"), errors=(404,))
async def get_agent(services: Services, agent_id: str) -> AgentView:
    """Get an agent.

    One agent, by id or by name.
    """
    return await services.agents.get(agent_id)


@operations.patch("/api/agents/{agent_id}", Answer(200, "The agent as it is now"), errors=(404, 409))
async def change_agent(services: Services, agent_id: str, body: AgentPatch) -> AgentView:
    """Change an agent.

    Replace fields of an agent. Runs that were accepted keep the agent as it was.
    """

    def changed(spec: AgentSpec) -> AgentSpec:
        merged = {**spec.model_dump(), **body.model_dump(exclude_unset=True)}
        return validate(AgentBody, merged, "body").spec(services.settings.model)

    with fields_named():
        return await services.agents.change(agent_id, changed)


@operations.delete("/api/agents/{agent_id}", Answer(204, "It is deleted"), errors=(404,))
async def delete_agent(services: Services, agent_id: str) -> None:
    """Delete an agent.

    Forget an agent. Its runs stay.
    """
    await services.agents.delete(agent_id)


@operations.get("/api/tools", Answer(200, "The tools that workers offer"))
async def list_tools(services: Services) -> ToolList:
    """List tools.

    List the tools that workers offer.
    """
    return ToolList(tools=await services.agents.tools())
