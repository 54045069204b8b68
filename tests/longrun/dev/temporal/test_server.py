from datetime import timedelta

import pytest
from temporalio.client import Client

from longrun.dev.temporal.config import SetupError
from longrun.dev.temporal.server import connect_when_up, ensure_retention, ensure_search_attributes

pytestmark = pytest.mark.server


async def test_retention_and_search_attributes_are_set_once_and_found_set_afterwards(temporal: str) -> None:
    client = await Client.connect(temporal)

    assert await ensure_search_attributes(client, {"RunStatus": "Keyword"}) == set()
    assert await ensure_search_attributes(client, {"RunStatus": "Keyword", "Extra": "Int"}) == {"Extra"}
    assert not await ensure_retention(client, timedelta(days=30))
    assert await ensure_retention(client, timedelta(days=31))
    assert not await ensure_retention(client, timedelta(days=31))
    assert await ensure_retention(client, timedelta(days=30))


async def test_a_search_attribute_of_another_type_is_named(temporal: str) -> None:
    client = await Client.connect(temporal)
    with pytest.raises(SetupError, match="RunStatus is registered with another type than Int"):
        await ensure_search_attributes(client, {"RunStatus": "Int"})


async def test_a_server_that_does_not_answer_is_no_client() -> None:
    assert await connect_when_up({"target_host": "127.0.0.1:9"}) is None
