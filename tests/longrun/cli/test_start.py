"""What a command waits for before it does anything: not for the libraries that only others need."""

import subprocess
import sys

import pytest

SERVER = {"aiosqlite", "alembic", "anthropic", "mcp", "openai", "sqlalchemy", "sqlmodel", "starlette", "uvicorn"}
HEAVY = SERVER | {"httpx2", "prompt_toolkit", "pydantic_settings", "temporalio", "yaml"}
_RUN = """
import os
import sys
from longrun.cli.main import main
sys.argv[1:] = {arguments!r}
try:
    main()
except SystemExit:
    pass
print(*sorted(sys.modules), file=sys.stderr, flush=True)
os._exit(0)
"""


def imported_by(*arguments: str) -> set[str]:
    """The modules that are loaded when a command has ended."""
    code = _RUN.format(arguments=list(arguments))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("run", "--help"), ("dev", "--help")])
def test_help_loads_no_library_but_that_of_the_command_line(arguments: tuple[str, ...]) -> None:
    assert HEAVY & imported_by(*arguments) == set()


@pytest.mark.parametrize("arguments", [("list",), ("agents",), ("show", "RUN"), ("run", "hi")])
def test_a_client_of_the_gateway_loads_nothing_of_the_server(arguments: tuple[str, ...]) -> None:
    loaded = imported_by(*arguments, "--url", "http://127.0.0.1:9")
    assert (SERVER | {"prompt_toolkit", "temporalio"}) & loaded == set()


def test_a_reviewer_loads_neither_a_provider_nor_a_server_nor_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
    assert SERVER & imported_by("review") == set()
