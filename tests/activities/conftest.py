"""A store in a file of its own, for the activities that write to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from store.schema import migrate
from tests.build import Stores


@pytest_asyncio.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    """A store over a new file."""
    url = f"sqlite:///{tmp_path / 'longrun.db'}"
    migrate(url)
    stores = Stores.over(url)
    yield stores
    await stores.database.aclose()
