"""A call to run tools for, in a folder of its own."""

from pathlib import Path

import pytest
from pydantic import JsonValue

from longrun.activities.toolbox.registry import Toolbox
from longrun.activities.toolbox.tool import ToolContext


@pytest.fixture
def reports() -> list[JsonValue]:
    """What the call has reported so far."""
    return []


@pytest.fixture
def context(tmp_path: Path, reports: list[JsonValue]) -> ToolContext:
    async def progress(data: JsonValue) -> None:
        reports.append(data)

    return ToolContext("run-1", "call-1", 1, tmp_path / "workspace", progress)


@pytest.fixture
def workspace(context: ToolContext) -> Path:
    context.workspace.mkdir()
    return context.workspace


@pytest.fixture
def toolbox() -> Toolbox:
    return Toolbox.load()
