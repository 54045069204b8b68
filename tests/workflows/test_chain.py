"""A run whose history became too long and went on in another, rebuilt from both."""

from pathlib import Path

import pytest

from longrun.activities.providers.provider import ModelRequest
from tests.gateway.service_harness import service_harness, tools
from tests.harness import harnessed, order
from tests.provider_fake import Gate, Turn, call, turn

pytestmark = pytest.mark.server
STEPS = 12


def script(request: ModelRequest) -> Turn:
    if request.step == STEPS:
        return turn("That is all.")
    tool = "note" if request.step in (2, 9) else "echo"
    return turn("On and on.", call(f"c{request.step}", tool, {"text": "one two"}))


async def test_a_run_in_several_executions_is_rebuilt_and_restored(impatient_temporal: str, tmp_path: Path) -> None:
    async with harnessed(impatient_temporal, tmp_path, script, tools(Gate())) as harness:
        parts = service_harness(harness)
        handle = await harness.start(order("echo", "note"))
        await harness.phase(handle, "waiting")
        await parts.say(handle.id, "Hurry.", "s1")
        for step in (2, 9):
            await parts.decide(handle.id, f"c{step}", "approve")
        await harness.ended(handle)
        described = await harness.handle(handle.id).describe()
        assert described.run_id != handle.first_execution_run_id
        await parts.assert_rebuilt(handle.id)
        rows, lines = parts.rows(), await parts.settled(handle.id)
        (tmp_path / "longrun.db").unlink()
        assert await parts.rebuilder.restore_unknown(handle.id)
        assert parts.rows() == rows
        assert await parts.settled(handle.id) == lines
