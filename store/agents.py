"""Agents that runs can be started with, and the tools that workers offer."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from longrun.runtime.ids import new_id
from longrun.store.db.database import Database, Tx
from longrun.store.db.engines import StoreRefusedError
from longrun.store.db.sql import find_row, insert_row, run_sql
from longrun.store.db.tables import AgentRow, ToolRow
from longrun.workflows.contract.agents import AgentSpec, ToolSpec

T = TypeVar("T")


class NameTakenError(Exception):
    """There is an agent of this name."""


class Agents:
    """Reads and writes agents and tools."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, spec: AgentSpec, now: datetime) -> AgentRow:
        """Keep a new agent.

        Raises:
            NameTakenError: There is an agent of this name.
            StoreUnavailableError: The database failed.
        """
        row = AgentRow(id=new_id(), name=spec.name, spec=spec.model_dump_json(), created_at=now, updated_at=now)
        await self._write_unique(lambda tx: insert_row(tx, row), spec.name)
        return row

    async def update(self, known: AgentRow, spec: AgentSpec, now: datetime) -> bool:
        """Replace an agent; runs that were accepted keep what they had.

        Returns:
            Whether it was still as ``known`` says; otherwise nothing has changed.

        Raises:
            NameTakenError: Another agent has the new name.
            StoreUnavailableError: The database failed.
        """
        change = "UPDATE agents SET name = ?, spec = ?, updated_at = ? WHERE id = ? AND spec = ?"
        values = (spec.name, spec.model_dump_json(), now, known.id, known.spec)
        return bool(await self._write_unique(lambda tx: run_sql(tx, change, *values).rowcount, spec.name))

    async def delete(self, agent_id: str) -> None:
        """Forget an agent."""
        statement = delete(AgentRow).where(col(AgentRow.id) == agent_id)
        await self._database.write(lambda tx: tx.execute(statement))

    async def find(self, key: str) -> AgentRow | None:
        """An agent by id or by name."""
        query = select(AgentRow).where((col(AgentRow.id) == key) | (col(AgentRow.name) == key)).limit(1)
        async with self._database.session() as session:
            return (await session.exec(query)).first()

    async def all(self) -> list[AgentRow]:
        """All agents, by name."""
        query = select(AgentRow).order_by(col(AgentRow.name))
        async with self._database.session() as session:
            return list(await session.exec(query))

    async def offer_tools(self, specs: tuple[ToolSpec, ...], now: datetime) -> None:
        """Say which tools a worker offers; earlier offers of the same names are replaced."""

        def job(tx: Tx) -> None:
            for spec in specs:
                known = find_row(tx, ToolRow, col(ToolRow.name) == spec.name)
                body = spec.model_dump_json()
                if known is None:
                    insert_row(tx, ToolRow(name=spec.name, spec=body, updated_at=now))
                else:
                    tx.execute(update(ToolRow).where(col(ToolRow.name) == spec.name).values(spec=body, updated_at=now))

        await self._database.write(job)

    async def tools(self) -> list[ToolSpec]:
        """The tools that workers offer, by name; none before the first worker started."""
        query = select(col(ToolRow.spec)).order_by(col(ToolRow.name))
        async with self._database.session() as session:
            return [ToolSpec.model_validate_json(spec) for spec in await session.exec(query)]

    async def tool_names(self) -> list[str]:
        """The names of the tools that workers offer, in order; read at each start of a run."""
        query = "SELECT name FROM tools ORDER BY name"
        return await self._database.read(lambda tx: list(run_sql(tx, query).scalars()))

    async def _write_unique(self, job: Callable[[Tx], T], name: str) -> T:
        try:
            return await self._database.write(job)
        except StoreRefusedError as error:
            if isinstance(error.__cause__, IntegrityError):
                raise NameTakenError(f"there is an agent named {name!r}") from error
            raise
