"""A socket that is cut after any event: what comes after that event's seq is exactly the rest."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from longrun.activities.providers.provider import ModelRequest
from tests.gateway_process import worked
from tests.logcheck import check_log, parsed
from tests.patience import PATIENCE
from tests.provider_fake import Gate, Turn, call, reasoning, text, turn
from tests.running import Front
from tests.tools import TOOLS

pytestmark = pytest.mark.server

AGENT = {"model": "scripted/x", "tools": ["look"]}
SAMPLES = 20
_END = b"\n\n"


class Talker:
    """A model of many short parts, so that no two of its deltas are merged; it waits in the middle if it is told to."""

    def __init__(self) -> None:
        self.middle = Gate()

    def says(self, request: ModelRequest) -> Turn:
        """Thoughts and words, then calls; and then words again."""
        if request.step == 2:
            return turn("That was all.")
        parts = [part for n in range(45) for part in (reasoning(f"Think {n}. "), text(f"Say {n}. "))]
        if request.messages[-1].text == "wait":
            parts.insert(60, text("Wait", self.middle, " for it."))
        return turn(*parts, *(call(f"look-{n}", "look", {"what": f"é {n}"}) for n in range(4)))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def front(temporal: str, talker: Talker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with worked(temporal, tmp_path_factory.mktemp("resume"), talker.says, TOOLS) as (front, _):
        yield front


@pytest.fixture(scope="module")
def talker() -> Talker:
    return Talker()


def path_of(run_id: str, after: int = 0) -> str:
    return f"/api/runs/{run_id}/stream?starting_after={after}"


async def begin(front: Front, run_id: str, frames: int) -> bytes:
    """The first frames of a run; then the socket is closed, whatever else is on its way."""
    seen = b""
    async with front.http.stream("GET", path_of(run_id), headers={"Connection": "close"}) as response:
        async for piece in response.aiter_bytes():
            seen += piece
            if seen.count(_END) >= frames:
                break
    return b"".join(frame + _END for frame in seen.split(_END)[:frames])


async def remaining(front: Front, run_id: str, after: int) -> bytes:
    """What a stream says after a seq, to the run's end."""
    response = await front.http.get(path_of(run_id, after))
    assert response.status_code == (200 if response.content else 204)
    return response.content


async def test_a_socket_cut_after_any_event_of_a_finished_run_misses_nothing(front: Front) -> None:
    run_id = (await front.start(AGENT))["id"]
    whole = await remaining(front, run_id, 0)
    events = parsed(data for _, _, data in await front.frames(run_id))
    check_log(events)
    assert len(events) >= 200
    for seq in range(1, len(events) + 1):
        assert await begin(front, run_id, seq) + await remaining(front, run_id, seq) == whole


async def test_a_socket_cut_after_an_event_of_a_running_run_misses_nothing(front: Front, talker: Talker) -> None:
    run_id = (await front.start(AGENT, "wait"))["id"]
    async with asyncio.timeout(PATIENCE):
        await talker.middle.reached.wait()
        until_here = await begin(front, run_id, 120)
    cuts = range(1, 121, 120 // SAMPLES)
    heads = [await begin(front, run_id, seq) for seq in cuts]
    assert all(until_here.startswith(head) for head in heads)
    resumed = [asyncio.create_task(remaining(front, run_id, seq)) for seq in cuts]
    live = asyncio.create_task(remaining(front, run_id, 0))
    assert (await front.run(run_id))["status"] == "running"
    talker.middle.open()
    whole = await live
    for head, tail in zip(heads, resumed, strict=True):
        assert head + await tail == whole
    assert await remaining(front, run_id, 0) == whole
    check_log(parsed(data for _, _, data in await front.frames(run_id)))
