"""Keeping agents that runs can be started with, and the tools that they may use."""

from collections.abc import Callable, Iterable

from longrun.gateway.service.errors import UnknownAgentError, UnknownProviderError, UnknownToolsError
from longrun.runtime.clock import now
from longrun.runtime.hosts import OURS
from longrun.store.agents import Agents
from longrun.store.db.tables import AgentRow
from longrun.workflows.contract.agents import AgentSpec, ToolSpec
from longrun.workflows.contract.views import AgentView


class AgentService:
    """Keeps agents. Every method raises ``StoreUnavailableError`` if the store has failed.

    Args:
        agents: The store's agents and tools.
        hosts: The names of the hosts of models in the settings file, besides the providers that are always there.
    """

    def __init__(self, agents: Agents, hosts: Iterable[str] = ()) -> None:
        self._agents = agents
        self._providers = (*OURS, *hosts)

    async def create(self, spec: AgentSpec) -> AgentView:
        """Keep an agent under its name.

        Raises:
            NameTakenError: There is an agent of this name.
            UnknownProviderError: There is no such provider.
            UnknownToolsError: The agent names tools that no worker offers.
        """
        await self.check(spec)
        return _view(await self._agents.create(spec, now()))

    async def all(self) -> tuple[AgentView, ...]:
        """All agents, by name."""
        return tuple(map(_view, await self._agents.all()))

    async def get(self, key: str) -> AgentView:
        """An agent by its id or its name.

        Raises:
            UnknownAgentError: There is none.
        """
        return _view(await self._row(key))

    async def _row(self, key: str) -> AgentRow:
        row = await self._agents.find(key)
        if row is None:
            raise UnknownAgentError(f"there is no agent {key!r}")
        return row

    async def change(self, key: str, changed: Callable[[AgentSpec], AgentSpec]) -> AgentView:
        """Change an agent; runs that were accepted keep the agent as it was.

        Args:
            key: Its id or its name.
            changed: Makes the new one of the one that there is; called again if that has changed meanwhile.

        Raises:
            NameTakenError: Another agent has the new name.
            UnknownAgentError: There is none, or it was deleted meanwhile.
            UnknownProviderError: There is no such provider.
            UnknownToolsError: The agent names tools that no worker offers.
        """
        row = await self._row(key)
        while True:
            spec = changed(_spec(row))
            await self.check(spec)
            done = await self._agents.update(row, spec, now())
            row = await self._row(row.id)
            if done:
                return _view(row)

    async def delete(self, key: str) -> None:
        """Forget an agent.

        Raises:
            UnknownAgentError: There is none of this id or name.
        """
        await self._agents.delete((await self.get(key)).id)

    async def tools(self) -> tuple[ToolSpec, ...]:
        """The tools that workers offer, by name; none before the first worker started."""
        return tuple(await self._agents.tools())

    async def check(self, spec: AgentSpec) -> None:
        """Check the provider of an agent, and its tools if any worker has said yet what it offers.

        Raises:
            UnknownProviderError: There is no such provider.
            UnknownToolsError: The agent names tools that no worker offers.
        """
        provider = spec.model.partition("/")[0]
        if provider not in self._providers:
            raise UnknownProviderError(f"there is no provider {provider!r}; there are {', '.join(self._providers)}")
        known = await self._agents.tool_names() if spec.tools else []
        unknown = [(index, tool.name) for index, tool in enumerate(spec.tools) if known and tool.name not in known]
        if unknown:
            raise UnknownToolsError(unknown, known)


def _spec(row: AgentRow) -> AgentSpec:
    return AgentSpec.model_validate_json(row.spec)


def _view(row: AgentRow) -> AgentView:
    return AgentView(id=row.id, created_at=row.created_at, updated_at=row.updated_at, **dict(_spec(row)))
