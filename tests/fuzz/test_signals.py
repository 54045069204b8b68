"""Whatever is sent to runs that wait, they end as the valid signals among it say, with every effect once."""

import asyncio
import os
from pathlib import Path
from random import Random

import pytest
from temporalio.common import RawValue

from longrun.activities.providers.provider import ModelRequest
from tests.fuzz.mutated_signals import mutated
from tests.harness import Handle, Harness, harnessed, order
from tests.logcheck import of_type
from tests.provider_fake import Turn, call, turn
from tests.tools import TOOLS, noted
from tests.workflows.steps.test_people import rebuilt_log

pytestmark = pytest.mark.server

LONG = bool(os.environ.get("LONGRUN_TEST_LONG"))
RUNS, SIGNALS = (50, 200) if LONG else (8, 25)
ENDS = {"approve": "completed", "deny": "completed", "cancel": "cancelled"}


def _pays(request: ModelRequest) -> Turn:
    """Pay what the user has said, once."""
    return turn(call("c1", "pay", {"amount": int(request.messages[0].text)})) if request.step == 1 else turn("Done.")


async def _send(handle: Handle, random: Random) -> None:
    """Send what nobody understands, and now and then a word to the model, which it gets with the next step."""
    for number in range(SIGNALS):
        if random.randrange(20) == 0:
            await handle.signal("say", {"text": f"{number} \N{GRINNING FACE}"})
        else:
            name, payloads = mutated(random)
            await handle.signal(name, args=[RawValue(payload) for payload in payloads])


async def _run(harness: Harness, number: int) -> str:
    """A run from its begin to its end; how it was to end."""
    random = Random(number)  # noqa: S311 - the same signals each time
    handle = await harness.start(order("pay", text=str(number)))
    await harness.phase(handle, "waiting")
    current = harness.handle(handle.id)
    await _send(current, random)
    end = random.choice(list(ENDS))
    if end == "cancel":
        await current.signal("cancel", {"by": "ann"})
    else:
        await current.signal("decide", {"call_id": "c1", "decision": end, "by": "ann"})
    outcome, events = await harness.ended(handle)
    assert outcome.status == ENDS[end]
    assert await rebuilt_log(harness, handle.id) == events
    assert len(of_type(events, "approval.requested")) == 1
    assert len(of_type(events, "signal.ignored")) > 0
    return end


@pytest.mark.timeout(0 if LONG else 120)
async def test_runs_end_as_the_valid_signals_among_many_others_say(temporal: str, tmp_path: Path) -> None:
    several = asyncio.Semaphore(4)

    async def one(number: int) -> str:
        async with several:
            return await _run(harness, number)

    async with harnessed(temporal, tmp_path, _pays, TOOLS) as harness:
        ends = await asyncio.gather(*(one(number) for number in range(1, RUNS + 1)))
        paid = noted(harness.settings.workspace_folder)
    assert sorted(paid, key=int) == [str(number) for number, end in enumerate(ends, 1) if end == "approve"]
    assert set(ends) == set(ENDS)
