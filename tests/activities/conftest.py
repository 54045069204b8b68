"""A store in a file of its own, for the activities that write to it, and a wire-true server of a provider."""

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest_asyncio

from longrun.store.db.schema import migrate
from tests import wire
from tests.build import Stores
from tests.wire import Wire


@pytest_asyncio.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    """A store over a new file."""
    url = f"sqlite:///{tmp_path / 'longrun.db'}"
    migrate(url)
    stores = Stores.over(url)
    yield stores
    await stores.database.aclose()


@pytest_asyncio.fixture
async def server() -> AsyncGenerator[Wire]:
    async with wire.start() as running:
        yield running
