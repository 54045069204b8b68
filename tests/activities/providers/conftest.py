"""The real SDKs, pointed at a wire-true server."""

from collections.abc import AsyncGenerator

import pytest_asyncio

from longrun.activities.providers.catalog import ProviderCatalog
from tests.activities.providers.asking import catalog_for
from tests.wire import Wire


@pytest_asyncio.fixture
async def catalog(server: Wire) -> AsyncGenerator[ProviderCatalog]:
    made = catalog_for(server)
    yield made
    await made.aclose()
