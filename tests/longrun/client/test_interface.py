"""What `from longrun import …` gives, what it loads, and that both clients offer all of the API."""

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin
from urllib.parse import unquote

import pytest

import longrun
from longrun.client import AsyncClient, Client, operations
from longrun.client.log import Reading
from longrun.client.request import Request
from longrun.runtime.settings import Settings
from longrun.workflows.contract.runs import Decision
from tests.running import serving

SERVER = ("temporalio", "starlette", "uvicorn", "sqlalchemy", "sqlmodel", "aiosqlite", "openai", "anthropic")
OPERATIONS: dict[str, Callable[..., Request[Any]]] = {
    name: function
    for name, function in inspect.getmembers(operations, inspect.isfunction)
    if get_origin(inspect.signature(function).return_annotation) is Request and not name.startswith("_")
}


def loaded_by(program: str) -> set[str]:
    """The top-level packages that a program has loaded in a process of its own."""
    code = f"{program}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_longrun_alone_loads_nothing() -> None:
    assert not loaded_by("import longrun") & {"httpx2", "pydantic", *SERVER}


def test_a_client_loads_nothing_of_the_server() -> None:
    loaded = loaded_by("from longrun import AsyncClient, Client\nimport longrun.client.operations")
    assert "httpx2" in loaded
    assert not loaded & set(SERVER)


def test_the_public_names_are_there_and_no_others() -> None:
    assert {name: getattr(longrun, name).__name__ for name in longrun.__all__} == {n: n for n in longrun.__all__}
    with pytest.raises(AttributeError, match="has no attribute 'Cleint'"):
        # A type checker must complain: else typos are found by users.
        _ = longrun.Cleint  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]


def placeholders(operation: Callable[..., Request[Any]]) -> Request[Any]:
    """An operation's request with its own parameters' names as arguments."""
    required = [name for name, each in inspect.signature(operation).parameters.items() if each.default is each.empty]
    given = {name: f"{{{name}}}" for name in required}
    return operation(
        **given | ({"decision": Decision(call_id="{call_id}", decision="deny")} if "decision" in given else {})
    )


IN_THE_PATH = {("POST", "/api/approvals/{call_id}"), ("GET", "/api/runs/{run_id}/results/{call_id}")}
"""What a client has in another form: an id in a path may not survive the way."""


async def test_there_is_a_request_for_each_operation_of_the_api(tmp_path: Path) -> None:
    requests = [Reading("{run_id}").request, *map(placeholders, OPERATIONS.values())]
    async with serving(Settings(home=tmp_path)) as front:
        paths = (await front.http.get("/openapi.json")).json()["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert {(request.method, unquote(request.path)) for request in requests} == described - IN_THE_PATH


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_both_clients_have_every_operation_with_its_signature_and_its_docstring(kind: type[object]) -> None:
    for name, operation in OPERATIONS.items():
        method = getattr(kind, name)
        mine, its = inspect.signature(method), inspect.signature(operation)
        assert [*mine.parameters.values()][1:] == [*its.parameters.values()]
        assert (mine.return_annotation,) == get_args(its.return_annotation)
        assert (method.__name__, method.__doc__) == (name, operation.__doc__)
