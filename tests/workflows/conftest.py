"""A Temporal server that soon finds a history too long."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.dev_server import IMPATIENT, dev_server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def impatient_temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a server that suggests to continue as new after 50 events."""
    async with dev_server(tmp_path_factory.mktemp("impatient"), **IMPATIENT) as address:
        yield address
