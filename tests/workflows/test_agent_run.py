"""A run from its start to its end, on a real server."""

from pathlib import Path

import pytest

from activities.toolbox.registry import Tool, tool
from tests.logcheck import of_type, settled_text
from tests.provider_fake import call, in_turn, reasoning, turn
from tests.stage import order, staged
from workflows.contract.events import ToolCompleted

pytestmark = pytest.mark.server


@tool()
async def look(what: str) -> str:
    """Look at something."""
    return f"saw {what}"


LOOK: list[Tool] = [look]


async def test_a_run_asks_runs_its_tool_and_answers(temporal: str, tmp_path: Path) -> None:
    script = in_turn(turn(reasoning("hm"), "Let me look.", call("c1", "look", {"what": "sea"})), turn("It is blue."))
    async with staged(temporal, tmp_path, script, LOOK) as stage:
        handle = await stage.start(order("look"))
        outcome, events = await stage.ended(handle)
    assert outcome.stop_reason == "end_turn"
    assert settled_text(events) == "Let me look.It is blue."
    (result,) = of_type(events, "tool.completed")
    assert isinstance(result, ToolCompleted)
    assert result.content == "saw sea"
