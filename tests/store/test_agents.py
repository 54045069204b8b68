"""Agents and the tools that workers offer."""

import pytest

from longrun.runtime.ids import new_id
from longrun.store.agents import NameTakenError
from longrun.store.db.database import StoreUnavailableError
from longrun.workflows.contract.agents import AgentSpec, ToolSpec
from tests.build import START, Stores, agent, at


def tool(name: str, description: str = "does it") -> ToolSpec:
    return ToolSpec(name=name, description=description, parameters={"type": "object"})


async def test_an_agent_is_found_by_its_id_and_its_name(store: Stores) -> None:
    row = await store.agents.create(agent("helper"), START)
    for key in (row.id, "helper"):
        found = await store.agents.find(key)
        assert found is not None
        assert AgentSpec.model_validate_json(found.spec) == agent("helper")
        assert found.created_at == START
    assert await store.agents.find("nobody") is None


async def test_names_are_taken_once(store: Stores) -> None:
    one = await store.agents.create(agent("one"), START)
    two = await store.agents.create(agent("two"), START)
    with pytest.raises(NameTakenError, match="'one'"):
        await store.agents.create(agent("one"), START)
    with pytest.raises(NameTakenError):
        await store.agents.update(two, agent("one"), START)
    assert await store.agents.update(one, agent("uno"), at(5))
    assert await store.agents.update(two, agent("one", tools=["python"]), at(5))
    assert [(row.name, row.updated_at) for row in await store.agents.all()] == [("one", at(5)), ("uno", at(5))]


async def test_an_agent_that_has_changed_meanwhile_is_not_replaced(store: Stores) -> None:
    row = await store.agents.create(agent("one"), START)
    assert await store.agents.update(row, agent("one", tools=["python"]), at(5))
    assert not await store.agents.update(row, agent("two"), at(6))
    assert [(each.name, each.updated_at) for each in await store.agents.all()] == [("one", at(5))]


async def test_an_agent_can_be_forgotten(store: Stores) -> None:
    row = await store.agents.create(agent("helper"), START)
    await store.agents.delete(row.id)
    assert await store.agents.all() == []
    await store.agents.create(agent("helper"), START)


async def test_a_store_that_is_away_is_not_a_name_that_is_taken(tmp_path: object) -> None:
    store = Stores.over(f"postgresql://postgres@/longrun?host={tmp_path}")
    with pytest.raises(StoreUnavailableError):
        await store.agents.create(agent("helper"), START)
    await store.database.aclose()


async def test_tools_are_as_the_last_worker_offers_them(store: Stores) -> None:
    assert await store.agents.tools() == []
    await store.agents.offer_tools((tool("b"), tool("a")), START)
    await store.agents.offer_tools((tool("b", "does it better"), tool("c")), at(1))
    assert await store.agents.tools() == [tool("a"), tool("b", "does it better"), tool("c")]


def test_ids_sort_by_the_time_they_were_made() -> None:
    ids = [new_id() for _ in range(100)]
    assert ids == sorted(set(ids))
