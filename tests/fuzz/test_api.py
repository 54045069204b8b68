"""Whatever is asked of the API, its answer is one that the document describes."""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi import checks

from longrun.gateway.http import openapi
from longrun.gateway.native.problems import PROBLEMS
from longrun.gateway.native.routes import INFO, OPERATIONS
from longrun.runtime.settings import Settings
from tests.build import Stores
from tests.gateway.native.conftest import complete, wait_for
from tests.running import Front, running, serving

EXAMPLES = 300 if os.environ.get("LONGRUN_TEST_LONG") else 15
LIMIT = pytest.mark.timeout(0 if os.environ.get("LONGRUN_TEST_LONG") else 180)
SECONDS = 60
_KNOWN_CHECKS: Any = checks  # what schemathesis takes and gives has no whole types
CHECKS = [
    _KNOWN_CHECKS.status_code_conformance,
    _KNOWN_CHECKS.content_type_conformance,
    _KNOWN_CHECKS.response_headers_conformance,
    _KNOWN_CHECKS.response_schema_conformance,
    _KNOWN_CHECKS.negative_data_rejection,
]
MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]


def _document() -> dict[str, Any]:
    """The document without the answer that stands for all that it does not name, and with the events of streams."""
    document = openapi.build(INFO, OPERATIONS, PROBLEMS)
    for methods in document["paths"].values():
        for operation in methods.values():
            del operation["responses"]["default"]
            for answer in operation["responses"].values():
                if events := answer.get("content", {}).get("text/event-stream"):
                    events["schema"] = events.pop(openapi.STREAM_ITEM)
    return document


SCHEMA: Any = schemathesis.openapi.from_dict(_document())
NAMES = [operation.name for operation in OPERATIONS]
BY_NAME: dict[str, Any] = {operation.name: SCHEMA[operation.path][operation.method] for operation in OPERATIONS}


@dataclass(frozen=True)
class Known:
    """A gateway, and the ids that lead somewhere; ``ended`` runs have streams with an end."""

    base_url: str
    ended: list[str]
    open: list[str]
    others: dict[str, list[str]]

    def ids(self, operation: str, name: str) -> list[str]:
        """The values for a parameter of a path."""
        if name != "run_id":
            return self.others.get(name, [])
        return self.ended if operation == "stream_run" else [*self.ended, *self.open]


@asynccontextmanager
async def _unserved(folder: Path) -> AsyncGenerator[Known]:
    """A gateway without Temporal over runs that were written into its store."""
    async with serving(Settings(home=folder)) as front, aclosing_stores(front) as stores:
        ended = await complete(stores, 50)
        waiting = [await wait_for(stores, call_id) for call_id in ("call-1", "call-2")]
        yield Known(front.base_url, [ended], waiting, await _others(front))


@asynccontextmanager
async def _served(temporal: str, folder: Path) -> AsyncGenerator[Known]:
    """A gateway with Temporal and a worker, over a run that they have run."""
    async with running(temporal, folder) as front:
        others = await _others(front)
        run = await front.start("known")
        await front.ended(run["id"])
        yield Known(front.base_url, [run["id"]], [], others)


@asynccontextmanager
async def aclosing_stores(front: Front) -> AsyncGenerator[Stores]:
    stores = Stores.over(front.settings.database)
    try:
        yield stores
    finally:
        await stores.database.aclose()


async def _others(front: Front) -> dict[str, list[str]]:
    agent = {"name": "known", "model": "scripted/hello"}
    made = (await front.http.post("/api/agents", json=agent)).json()
    return {"agent_id": [made["id"], "known"], "call_id": ["call-1", "call-2", "a/b", "\N{GRINNING FACE}"]}


@contextmanager
def _in_a_thread(opened: Callable[[], AbstractAsyncContextManager[Known]]) -> Generator[Known]:
    """What serves, on a loop of its own: what asks is not asynchronous."""
    found: list[Known] = []
    ready, end = threading.Event(), threading.Event()

    async def serve() -> None:
        async with opened() as known:
            found.append(known)
            ready.set()
            await asyncio.to_thread(end.wait)

    def run() -> None:
        try:
            asyncio.run(serve())
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        ready.wait()
        yield found[0]
    finally:
        end.set()
        thread.join()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    folder = tmp_path_factory.mktemp("alone")
    with _in_a_thread(lambda: _unserved(folder)) as known:
        yield known


@pytest.fixture(scope="module")
def whole(temporal: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    folder = tmp_path_factory.mktemp("whole")
    with _in_a_thread(lambda: _served(temporal, folder)) as known:
        yield known


def _ask(known: Known, name: str, examples: int) -> None:
    """Ask an operation as many things, half of them wrong ones."""
    operation = BY_NAME[name]

    @seed(1)
    @settings(max_examples=examples, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
    @given(data=st.data())
    def asks(data: st.DataObject) -> None:
        case: Any = data.draw(operation.as_strategy(generation_mode=data.draw(st.sampled_from(MODES))))
        for parameter in list(case.path_parameters):
            if (ids := known.ids(name, parameter)) and data.draw(st.booleans()):
                case.path_parameters[parameter] = data.draw(st.sampled_from(ids))
        case.query.pop("stream", None)  # it would end with the run alone
        response = case.call(base_url=known.base_url, timeout=SECONDS)
        assert response.status_code != 500, response.text
        case.validate_response(response, checks=CHECKS)

    asks()


@LIMIT
@pytest.mark.parametrize("name", NAMES)
def test_every_answer_is_in_the_document(alone: Known, name: str) -> None:
    _ask(alone, name, EXAMPLES)


@LIMIT
@pytest.mark.server
@pytest.mark.parametrize("name", NAMES)
def test_every_answer_of_a_whole_system_is_in_the_document(whole: Known, name: str) -> None:
    _ask(whole, name, EXAMPLES)
