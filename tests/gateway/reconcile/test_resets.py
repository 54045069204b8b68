"""A run that is reset in Temporal: its log says what was taken back, and goes on."""

import asyncio
import logging
from pathlib import Path
from statistics import median
from time import monotonic

import httpx2
import pytest

from longrun.activities.failures import ProviderFailure
from tests.gateway.reconcile.resetting import Model, Scene, calling, resets, saying, scene, waited_and_terminated
from tests.harness import order, until
from tests.logcheck import of_type, parsed
from tests.patience import PATIENCE
from tests.provider_fake import Gate, Turn, text, turn

pytestmark = pytest.mark.server

logger = logging.getLogger(__name__)
USAGE = ("input_tokens", "output_tokens")


async def test_a_run_that_is_reset_in_the_middle_of_a_step_does_it_anew_from_an_earlier_one(
    temporal: str, tmp_path: Path
) -> None:
    gate = Gate()

    def last(times: int) -> Turn:
        return turn(text("I have ", gate)) if times == 1 else turn("Done.")

    model = Model(calling("write", "one"), calling("write", "two"), last)
    async with scene(temporal, tmp_path, model) as on:
        run_id = await on.start()
        watching = asyncio.create_task(on.front.frames(run_id, "?view=raw"))
        await gate.reached.wait()
        await on.reset(run_id, step=2)
        events = await on.whole(run_id)
        assert [data for _, _, data in await watching] == [
            line.decode() for line in await on.harness.stores.lines(run_id)
        ]
        resumed = await on.resumed(run_id)
        started = [event for event in of_type(events, "step.started") if event.seq < resumed.seq]
        assert (resumed.first, resumed.last) == (started[1].seq, resumed.seq - 1)
        assert (resumed.turn, resumed.turn_id) == (1, run_id)
        assert on.model.requests == {1: 1, 2: 2, 3: 2}
        assert on.ledger == ["one", "two", "two"]
        shown = await on.front.run(run_id)
        assert shown["tokens_billed"] - shown["tokens_rebilled"] == sum(shown["usage"][k] for k in USAGE)


async def test_a_completed_run_that_is_reset_answers_anew_and_a_reader_who_comes_back_sees_it(
    temporal: str, tmp_path: Path
) -> None:
    model = Model(calling("write", "one"), saying("So so.", "Much better."))
    async with scene(temporal, tmp_path, model) as on:
        run_id = await on.start()
        before = await on.whole(run_id)
        again = await on.front.http.get(f"/api/runs/{run_id}/stream?starting_after={len(before)}")
        assert again.status_code == 204
        await on.reset(run_id, step=2)
        await on.resumed(run_id)
        frames = await on.front.frames(run_id, f"?starting_after={len(before)}")
        assert [kind for _, kind, _ in frames][:2] == ["run.resumed", "step.started"]
        assert frames[0][0] == len(before) + 1
        events = await on.whole(run_id)
        assert [event.type for event in events][-1] == "run.completed"
        shown = await on.front.run(run_id)
        assert (shown["status"], shown["output"]) == ("completed", "Much better.")
        assert on.ledger == ["one"]
        page = (await on.front.http.get(f"/api/runs/{run_id}/events?limit=5000")).json()
        assert [event["seq"] for event in page["events"]] == [
            event.seq for event in parsed(await on.services.settled(run_id))
        ]


async def test_a_reader_of_a_run_that_was_reset_reads_past_the_end_that_was_taken_back(
    temporal: str, tmp_path: Path
) -> None:
    gate = Gate()

    def last(times: int) -> Turn:
        return turn("So so.") if times == 1 else turn(text("Much ", gate, "better."))

    async with scene(temporal, tmp_path, Model(last)) as on:
        run_id = await on.start()
        await on.whole(run_id)
        await on.reset(run_id, step=1)
        await gate.reached.wait()
        raw = asyncio.create_task(on.front.frames(run_id, "?view=raw"))
        settled = asyncio.create_task(on.front.frames(run_id))
        gate.open()
        events = await on.whole(run_id)
        assert [seq for seq, _, _ in await raw] == list(range(1, len(events) + 1))
        assert [kind for _, kind, _ in await settled].count("run.completed") == 1


async def test_a_failed_run_that_is_reset_asks_its_provider_again_and_completes(temporal: str, tmp_path: Path) -> None:
    def answer(times: int) -> Turn:
        return turn(text("I ", ProviderFailure("fatal", "no such model"))) if times == 1 else turn("Hello.")

    async with scene(temporal, tmp_path, Model(calling("write", "one"), answer)) as on:
        run_id = await on.start()
        before = await on.whole(run_id)
        assert before[-1].type == "run.failed"
        await on.reset(run_id, step=2)
        await on.resumed(run_id)
        events = await on.whole(run_id)
        assert (events[-1].type, on.ledger) == ("run.completed", ["one"])
        assert [attempt["outcome"] for attempt in (await on.front.run(run_id))["attempts"]] == [
            *("completed", "completed", "failed", "completed")
        ]


async def test_a_terminated_run_that_waited_can_be_decided_after_a_reset(temporal: str, tmp_path: Path) -> None:
    async with scene(temporal, tmp_path, Model(calling("pay", "one"), saying("Paid."))) as on:
        run_id = await on.start()
        await on.front.waiting(run_id)
        await until(lambda: on.services.recorded(run_id, "run.waiting"), "the pause in history")
        await on.harness.handle(run_id).terminate(reason="by mistake")
        assert (await on.front.ended(run_id))["stop_reason"] == "terminated"
        await on.reset(run_id)
        resumed = await on.resumed(run_id)
        assert resumed.turn == 1
        waiting = await on.front.waiting(run_id)
        (pending,) = waiting["pending_approvals"]
        body = {"decision": "approve", "run_id": run_id}
        await on.harness.phase(on.harness.handle(run_id), "waiting")
        assert (await on.front.http.post(f"/api/approvals/{pending['call_id']}", json=body)).is_success
        events = await on.whole(run_id)
        assert (events[-1].type, on.ledger) == ("run.completed", ["one"])


async def test_a_run_that_is_reset_to_where_it_waited_waits_again_without_asking_anybody(
    temporal: str, tmp_path: Path
) -> None:
    async with scene(temporal, tmp_path, Model(calling("pay", "one"), saying("Paid."))) as on:
        run_id = await waited_and_terminated(on)
        await on.reset(run_id)
        await on.resumed(run_id)
        assert (await on.front.waiting(run_id))["turn"] == 1
        await on.decide(run_id, "pay-one", "approve")
        events = await on.whole(run_id)
        assert (events[-1].type, on.ledger) == ("run.completed", ["one"])
        assert on.model.requests == {1: 1, 2: 1}


async def test_a_decision_does_not_meet_the_call_that_a_reset_run_makes_in_place_of_its_own(
    temporal: str, tmp_path: Path
) -> None:
    async with scene(temporal, tmp_path, Model(calling("pay", "one"), saying("Paid."))) as on:
        run_id = await on.start()
        await on.front.waiting(run_id)
        await on.decide(run_id, "pay-one", "approve")
        await on.whole(run_id)
        await on.reset(run_id, step=1)
        await on.resumed(run_id)
        (pending,) = (await on.front.waiting(run_id))["pending_approvals"]
        assert pending["call_id"] != "pay-one"
        assert on.ledger == ["one"]
        await on.decide(run_id, pending["call_id"], "deny")
        await on.whole(run_id)
        assert on.ledger == ["one"]


async def test_a_run_that_is_reset_twice_tells_of_both(temporal: str, tmp_path: Path) -> None:
    model = Model(calling("write", "one"), calling("write", "two"), saying("One.", "Two.", "Three."))
    async with scene(temporal, tmp_path, model) as on:
        run_id = await on.start()
        await on.whole(run_id)
        await on.reset(run_id, step=3)
        await on.resumed(run_id)
        await on.whole(run_id)
        await on.reset(run_id, step=3)
        await on.resumed(run_id, 2)
        events = await on.whole(run_id)
        assert (await on.front.run(run_id))["output"] == "Three."
        await on.reset(run_id, step=2)
        await on.resumed(run_id, 3)
        events = await on.whole(run_id)
        assert len(resets(events)) == 3
        assert len(resets(parsed(await on.services.settled(run_id)))) == 1
        assert on.ledger == ["one", "two", "two"]


async def test_a_reset_run_has_its_thread_again_or_does_without_it(temporal: str, tmp_path: Path) -> None:
    gate = Gate()

    def answer(times: int) -> Turn:
        return turn(text("I ", gate)) if times == 2 else turn("Hello.")

    async with scene(temporal, tmp_path, Model(answer)) as on:
        first = order("write")
        await on.start(first)
        await on.whole(first.run_id)
        second = order("write", thread_id=first.thread_id)
        await on.start(second)
        await gate.reached.wait()
        await on.reset(first.run_id, step=1)
        await on.resumed(first.run_id)
        await on.whole(first.run_id)
        gate.open()
        await on.whole(second.run_id)
        await on.reset(first.run_id, step=1)
        await on.resumed(first.run_id, 2)
        await on.whole(first.run_id)


async def test_a_log_that_was_restored_from_history_can_be_reset(temporal: str, tmp_path: Path) -> None:
    model = Model(calling("write", "one"), saying("So so.", "Better."))
    async with scene(temporal, tmp_path, model) as on:
        run_id = await on.start()
        await on.whole(run_id)
        (tmp_path / "longrun.db").unlink()
        assert await on.services.rebuilder.restore_unknown(run_id)
        await on.reset(run_id, step=2)
        await on.resumed(run_id)
        events = await on.whole(run_id)
        assert (events[-1].type, on.ledger) == ("run.completed", ["one"])


async def test_a_database_that_is_lost_after_a_reset_gets_the_log_back_from_history(
    temporal: str, tmp_path: Path
) -> None:
    model = Model(calling("write", "one"), saying("So so.", "Better."))
    async with scene(temporal, tmp_path, model) as on:
        run_id = await on.start()
        await on.whole(run_id)
        await on.reset(run_id, step=2)
        await on.resumed(run_id)
        await on.whole(run_id)
        settled = await on.services.settled(run_id)
        (tmp_path / "longrun.db").unlink()
        assert await on.services.rebuilder.restore_unknown(run_id)
        assert await on.services.settled(run_id) == settled
        await on.services.assert_rebuilt(run_id)


class Reader:
    """Follows a run from a position; ``noticed`` is set when it reads of a reset."""

    def __init__(self, on: Scene, run_id: str, after: int = 0) -> None:
        self._url = f"{on.front.base_url}/api/runs/{run_id}/stream?starting_after={after}"
        self.noticed = asyncio.Event()

    async def read(self) -> None:
        """Read to the end of the run; come back while there is nothing to read."""
        async with httpx2.AsyncClient(timeout=PATIENCE) as http:
            while not self.noticed.is_set():
                async with http.stream("GET", self._url) as response:
                    if response.status_code == 200:
                        async for sse in httpx2.EventSource(response):
                            if resets(parsed([sse.data])):
                                self.noticed.set()
                await asyncio.sleep(0.05)


async def seen(on: Scene, reader: Reader, run_id: str, step: int = 0) -> float:
    """Reset a run that waits; after how many seconds a reader is told of it."""
    async with asyncio.TaskGroup() as readers:
        reading = readers.create_task(reader.read())
        await asyncio.sleep(0)
        began = monotonic()
        await on.reset(run_id, step=step)
        await reader.noticed.wait()
        took = monotonic() - began
        await on.harness.phase(on.harness.handle(run_id), "waiting")
        await on.harness.handle(run_id).signal("cancel", {"by": "ann"})
        await on.whole(run_id)
        reading.cancel()
    return took


async def test_readers_are_told_soon_that_a_run_was_reset(temporal: str, tmp_path: Path) -> None:
    live: list[float] = []
    back: list[float] = []
    async with scene(temporal, tmp_path, Model(calling("pay", "one"), saying("Paid."))) as on:
        for _ in range(5):
            run_id = await on.start()
            await on.front.waiting(run_id)
            await on.harness.phase(on.harness.handle(run_id), "waiting")
            live.append(await seen(on, Reader(on, run_id), run_id, step=1))
        for _ in range(5):
            run_id = await waited_and_terminated(on)
            back.append(await seen(on, Reader(on, run_id, await on.services.head(run_id)), run_id))
    for who, took in (("a run that asks its model anew, live", live), ("an ended run that waits anew, back", back)):
        logger.info("%s: run.resumed after p50 %.2f s, at most %.2f s", who, median(took), max(took))
