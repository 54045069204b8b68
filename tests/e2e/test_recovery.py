"""Workers that are killed or shut down in the middle of model calls: who pays what, and what a reader sees."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import quantiles
from time import monotonic

import pytest
import pytest_asyncio

from tests.e2e.recovering import PLAIN, RESUMABLE, Recovered, Ward, spoken, ward

pytestmark = pytest.mark.server

TOKENS = 400
LONG = bool(os.environ.get("LONGRUN_TEST_LONG"))
KILLED_AT = range(0, TOKENS, 20) if LONG else (0, 20, 200, 380)


@pytest_asyncio.fixture
async def there(temporal: str, tmp_path: Path) -> AsyncIterator[Ward]:
    async with ward(temporal, tmp_path / "home") as made:
        yield made


async def start_at(there: Ward, label: str, model: str, token: int) -> None:
    """Start a call that stands before a token, all before it being in the log."""
    await there.start(label, model, TOKENS, hold=token)
    await there.provider.held(label)
    if token:
        await there.said(label, f"t0w{token - 1} ")


async def go_on(there: Ward, label: str, since: float) -> float:
    """Let a call go on; the seconds until its log goes on, too."""
    head = await there.head(label)
    await there.provider.release(label)
    return await there.goes_on(label, head, since)


def report(name: str, seconds: list[float]) -> None:
    """Print what it took, for whoever wants to know."""
    cuts = quantiles(seconds, n=20, method="inclusive")
    print(f"{name}: {len(seconds)} calls, p50 {cuts[9]:.2f} s, p95 {cuts[18]:.2f} s, max {max(seconds):.2f} s")  # noqa: T201


def check_paid_once(ended: Recovered) -> None:
    """One call, one text, nothing superseded."""
    assert ended.run["output"] == spoken(TOKENS)
    assert [entry["status"] for entry in ended.bill] == ["completed"]
    assert ended.raw == ended.settled
    assert "attempt.superseded" not in ended.kinds
    (entry,) = ended.bill
    assert ended.run["tokens_billed"] == entry["tokens_in"] + entry["tokens_out"]
    assert ended.run["tokens_rebilled"] == 0
    assert {attempt["response_id"] for attempt in ended.attempts} == {entry["id"]}


def check_reissued(ended: Recovered, calls: int) -> None:
    """So many calls, each with its attempt; the text stands once."""
    assert ended.run["output"] == spoken(TOKENS)
    assert len(ended.bill) == len(ended.attempts) == calls
    assert [attempt["recovered"] for attempt in ended.attempts] == ["none", *["reissued"] * (calls - 1)]
    assert ended.kinds.count("attempt.superseded") <= calls - 1
    assert ended.run["tokens_rebilled"] > 0
    billed = ended.run["tokens_billed"] - ended.run["tokens_rebilled"]
    assert billed == ended.bill[-1]["tokens_in"] + ended.bill[-1]["tokens_out"]


async def test_calls_killed_at_any_token_are_taken_up_or_asked_again(there: Ward) -> None:
    cases = [(f"{model} {token}", model, token) for model in (RESUMABLE, PLAIN) for token in KILLED_AT]
    async with there.worker() as victim:
        await asyncio.gather(*(start_at(there, *case) for case in cases))
        async with there.worker():
            victim.signal(signal.SIGKILL)
            killed = monotonic()
            await victim.ended()
            seconds = await asyncio.gather(*(go_on(there, label, killed) for label, _, _ in cases))
            report("after SIGKILL", seconds)
            for label, model, _ in cases:
                ended = await there.ended(label)
                if model == RESUMABLE:
                    check_paid_once(ended)
                    assert [attempt["outcome"] for attempt in ended.attempts] == ["lost", "completed"]
                else:
                    check_reissued(ended, calls=2)


async def test_one_call_outlives_one_worker_after_the_other(there: Ward) -> None:
    kills = KILLED_AT[1:] if LONG else (40, 80)
    async with there.worker() as first:
        victim = first
        await start_at(there, "both", RESUMABLE, kills[0])
        await start_at(there, "again", PLAIN, kills[0])
        async with AsyncExitStack() as workers:
            for following in (*kills[1:], None):
                next_worker = await workers.enter_async_context(there.worker())
                victim.signal(signal.SIGKILL)
                await victim.ended()
                victim = next_worker
                await asyncio.gather(*(step_to(there, label, following) for label in ("both", "again")))
            ended = await there.ended("both")
            check_paid_once(ended)
            assert [attempt["recovered"] for attempt in ended.attempts] == ["none", *["reattached"] * len(kills)]
            check_reissued(await there.ended("again"), calls=1 + len(kills))


async def step_to(there: Ward, label: str, token: int | None) -> None:
    """Let a call go on to a token, or to its end."""
    if token is None:
        await there.provider.release(label)
        return
    await there.provider.move(label, 0, token)
    await there.said(label, f"t0w{token - 1} ")


async def test_a_worker_that_is_shut_down_hands_its_calls_over_at_once(there: Ward) -> None:
    labels = [f"call {number}" for number in range(20)]
    async with there.worker() as victim:
        await asyncio.gather(*(start_at(there, label, RESUMABLE, 100) for label in labels))
        await start_at(there, "short", PLAIN, 100)
        async with there.worker():
            victim.signal(signal.SIGTERM)
            ended_at = monotonic()
            seconds = await asyncio.gather(*(go_on(there, label, ended_at) for label in labels))
            report("after SIGTERM", seconds)
            await there.provider.release("short")
            assert await victim.ended() == 0
            for label in labels:
                ended = await there.ended(label)
                check_paid_once(ended)
                # On a machine that is too slow for its heartbeats the next attempt may count as lost in between.
                outcomes = [attempt["outcome"] for attempt in ended.attempts if attempt["outcome"] != "lost"]
                assert outcomes == ["handed_over", "completed"]
                assert ended.attempts[0]["outcome"] == "handed_over"
            short = await there.ended("short")  # what cannot be taken up is let to its end, within the grace
            assert [attempt["outcome"] for attempt in short.attempts] == ["completed"]


async def test_what_does_not_end_within_the_grace_is_handed_over_at_its_end(there: Ward) -> None:
    async with there.worker(LONGRUN_GRACE="1") as victim:
        await start_at(there, "long", PLAIN, 100)
        async with there.worker():
            victim.signal(signal.SIGTERM)
            assert await victim.ended() == 0
            await there.provider.release("long")
            ended = await there.ended("long")
            check_reissued(ended, calls=2)
            assert [attempt["outcome"] for attempt in ended.attempts] == ["handed_over", "completed"]


async def test_a_cancelled_run_ends_its_answer_at_the_provider(there: Ward) -> None:
    async with there.worker() as victim:
        await start_at(there, "streaming", RESUMABLE, 60)
        await start_at(there, "left", RESUMABLE, 60)
        await there.front.http.post(f"/api/runs/{there.runs['streaming']}/cancel")
        await there.provider.billed("streaming", lambda bill: bill[0]["status"] == "cancelled")
        victim.signal(signal.SIGKILL)
        await victim.ended()
    await there.front.http.post(f"/api/runs/{there.runs['left']}/cancel")
    async with there.worker():
        await there.provider.billed("left", lambda bill: bill[0]["status"] == "cancelled")
        for label in ("streaming", "left"):
            ended = await there.ended(label)
            assert ended.run["status"] == "cancelled"
            assert len(ended.bill) == 1
