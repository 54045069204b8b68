"""What every test stands on: an environment that reaches no provider, and one real Temporal server for all."""

import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests import properties
from tests.dev_server import IMPATIENT, dev_server, take_port
from tests.spawning import shared

properties.load()  # before any test module asks for it
# What a shell starts in the background ignores SIGINT, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
NOBODY = "http://127.0.0.1:9/v1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes the longest."""
    items.sort(key=_weight)


def _weight(item: pytest.Item) -> int:
    """Tests of many processes first, then those of one server, then the rest: no worker of xdist ends long alone."""
    if item.get_closest_marker("server") is None:
        return 2
    return 0 if item.path.parent.name in ("chaos", "e2e") else 1


@pytest.fixture(scope="session", autouse=True)
def _no_provider_by_accident() -> Iterator[None]:
    """No key, no settings and no server from the outside; base URLs that nobody answers."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            ours = name.startswith(("LONGRUN_", "TEMPORAL_")) and not name.startswith("LONGRUN_TEST_")
            if ours or name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
                patch.delenv(name)
        patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # processes that are killed have nothing to tell
        patch.setenv("OPENAI_BASE_URL", NOBODY)
        patch.setenv("ANTHROPIC_BASE_URL", NOBODY)
        patch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session", autouse=True)
async def _processes_end() -> AsyncIterator[None]:
    """With the tests end the processes that brought up other ones for them."""
    yield
    await shared.end()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a Temporal dev server of our own, tuned as ``temporal-dev.yaml`` says."""
    async with dev_server(tmp_path_factory.mktemp("temporal")) as address:
        yield address


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def impatient_temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a server that suggests to continue as new after 50 events."""
    async with dev_server(tmp_path_factory.mktemp("impatient"), **IMPATIENT) as address:
        yield address


@pytest.fixture
def free_port() -> int:
    """A port of the loopback address that nobody had a moment ago."""
    return take_port()
