"""A log that the store has lost is read from history, byte for byte, while its run goes on and after its end."""

import asyncio
import signal
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from longrun.activities.failures import ProviderFailure
from longrun.activities.providers.provider import ModelRequest
from longrun.gateway.history.rebuilder import Rebuilder
from tests.build import Stores
from tests.gateway_process import GatewayProcess, worked
from tests.logcheck import check_log, check_settled, of_type, parsed
from tests.patience import PATIENCE
from tests.provider_fake import Gate, Turn, call, reasoning, text, turn
from tests.running import Front
from tests.tools import TOOLS

pytestmark = pytest.mark.server

AGENT = {"model": "scripted/x", "tools": ["look", "pay"]}


class Teller:
    """A model that looks, asks to pay, and tells a story; it may stumble once, or wait in the middle of its story."""

    def __init__(self) -> None:
        self.middle = Gate()
        self.stumbling = Gate()

    def says(self, request: ModelRequest) -> Turn:
        """What comes at this step."""
        if request.step < 3:
            name, arguments = ("look", '{"what": "é"}') if request.step == 1 else ("pay", '{"amount": 3}')
            called = call(f"{request.run_id}-{request.step}", name, arguments)
            return turn(reasoning("So ", "be it."), "Let me see.", called)
        prompt = next(message.text for message in request.messages if message.role == "user")
        if prompt == "stumble" and request.attempt == 1:
            return turn(text("Lost ", self.stumbling, ProviderFailure("transient", "The line broke.")))
        obstacle = [self.middle] if prompt == "wait" else []
        return turn(text("Once ", "upon ", "a\n", *obstacle, "time ", "it ", "was."))


async def ended(front: Front, text: str) -> str:
    """A run with an approval, to its end."""
    run_id = await approved(front, text)
    await front.ended(run_id)
    return run_id


async def stumbled(front: Front, teller: Teller) -> str:
    """A run that has ended, and whose readers saw text that was taken back."""
    run_id = await approved(front, "stumble")
    await seen(front, run_id, b"Lost")
    teller.stumbling.open()
    await front.ended(run_id)
    return run_id


async def seen(front: Front, run_id: str, content: bytes) -> None:
    """Wait until a reader has seen this."""
    read = b""
    async with asyncio.timeout(PATIENCE), front.http.stream("GET", f"/api/runs/{run_id}/stream") as response:
        pieces = response.aiter_bytes()
        while content not in read:
            read += await anext(pieces)


async def approved(front: Front, text: str) -> str:
    """A run that has been told that it may pay."""
    run_id = (await front.start(AGENT, text))["id"]
    await front.waiting(run_id)
    decision = {"decision": "approve", "by": "ann", "run_id": run_id}
    assert (await front.http.post(f"/api/approvals/{run_id}-2", json=decision)).status_code == 200
    return run_id


async def responses(front: Front, run_id: str, views: tuple[str, ...]) -> list[bytes]:
    """All that can be read of a run's log, from its beginning and from its middle."""
    run = f"/api/runs/{run_id}"
    paths = [
        f"{run}/{what}?view={view}&starting_after={after}"
        for what in ("stream", "events")
        for view in views
        for after in (0, 11)
    ]
    answers = [await front.http.get(path) for path in (*paths, run, f"{run}/stream")]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    return [answer.content for answer in answers]


async def lose_the_file(gateway: GatewayProcess, number: signal.Signals) -> None:
    """End the gateway, delete the store, and start it again."""
    await gateway.end(number)
    files = list(gateway.settings.home.glob("longrun.db*"))
    assert files
    for file in files:
        file.unlink()
    await gateway.start()


async def empty_the_log(front: Front, run_id: str) -> None:
    """Delete all that is kept of a run's log; there must be something."""
    stores = Stores.over(front.settings.database)
    try:
        assert await stores.lines(run_id)
        await stores.database.write(lambda tx: tx.exec_driver_sql("DELETE FROM segments WHERE run_id = ?", (run_id,)))
        assert not await stores.log.page(run_id, 0, 10)
    finally:
        await stores.database.aclose()


async def test_a_store_that_is_deleted_is_made_again_from_history(temporal: str, tmp_path: Path) -> None:
    teller = Teller()
    async with worked(temporal, tmp_path / "home", teller.says, TOOLS) as (front, gateway):
        plain, torn = await ended(front, "plain"), await stumbled(front, teller)
        both = ("raw", "settled")
        before = await responses(front, plain, both), await responses(front, torn, ("settled",))
        assert of_type(parsed(data for _, _, data in await front.frames(torn)), "attempt.superseded")
        for number in (signal.SIGTERM, signal.SIGKILL):
            await lose_the_file(gateway, number)
            assert (await responses(front, plain, both), await responses(front, torn, ("settled",))) == before
        check_log(parsed(data for _, _, data in await front.frames(plain, "?view=raw")))
        check_settled(parsed(data for _, _, data in await front.frames(torn)))
        again = await ended(front, "plain")
        check_log(parsed(data for _, _, data in await front.frames(again)))


async def test_a_log_that_is_emptied_in_a_running_run_is_whole_for_all_its_readers(
    temporal: str, tmp_path: Path
) -> None:
    teller = Teller()
    async with worked(temporal, tmp_path / "home", teller.says, TOOLS) as (front, _):
        run_id = await approved(front, "wait")
        async with asyncio.timeout(PATIENCE), front.http.stream("GET", f"/api/runs/{run_id}/stream") as response:
            pieces = response.aiter_bytes()
            early = b""
            while b"Once" not in early:
                early += await anext(pieces)
            await teller.middle.reached.wait()
            await empty_the_log(front, run_id)
            late = [asyncio.create_task(front.http.get(f"/api/runs/{run_id}/stream")) for _ in range(3)]
            for after, seqs in ((3, [4, 5, 6, 7]), (early.count(b"\n\n") - 1, [])):
                page = (await front.http.get(f"/api/runs/{run_id}/events?starting_after={after}&limit=4")).json()
                assert ([event["seq"] for event in page["events"]], page["done"]) == (seqs, False)
            teller.middle.open()
            early += b"".join([piece async for piece in pieces])
        assert [(await reader).content for reader in late] == [early] * 3
        assert (await front.http.get(f"/api/runs/{run_id}/stream?view=raw")).content == early
        check_log(parsed(data for _, _, data in await front.frames(run_id)))
        await assert_rebuilt(front, temporal, run_id)


async def assert_rebuilt(front: Front, temporal: str, run_id: str) -> None:
    """Check that what is kept now is what history tells."""
    stores = Stores.over(front.settings.database)
    try:
        client = await Client.connect(temporal, data_converter=pydantic_data_converter)
        rebuilt = await Rebuilder(client, stores.database, stores.runs, stores.log).rebuild(run_id)
        assert rebuilt is not None
        assert await stores.lines(run_id) == [rebuilt.lines[seq] for seq in sorted(rebuilt.lines)]
    finally:
        await stores.database.aclose()
