"""What every test stands on: an environment that reaches no provider, and one real Temporal server for all."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests import properties
from tests.dev_server import dev_server, take_port

properties.load()  # before any test module asks for it
NOBODY = "http://127.0.0.1:9/v1"


@pytest.hookimpl(trylast=True)  # after hypothesis has marked its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave a property that fails the time to find its smallest example."""
    for item in items:
        if item.get_closest_marker("hypothesis"):
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session", autouse=True)
def _no_provider_by_accident() -> Iterator[None]:
    """No key, no settings and no server from the outside; base URLs that nobody answers."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            ours = name.startswith(("LONGRUN_", "TEMPORAL_")) and not name.startswith("LONGRUN_TEST_")
            if ours or name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
                patch.delenv(name)
        patch.setenv("OPENAI_BASE_URL", NOBODY)
        patch.setenv("ANTHROPIC_BASE_URL", NOBODY)
        patch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a Temporal dev server of our own, tuned as ``temporal-dev.yaml`` says."""
    async with dev_server(tmp_path_factory.mktemp("temporal")) as address:
        yield address


@pytest.fixture
def free_port() -> int:
    """A port of the loopback address that nobody had a moment ago."""
    return take_port()
