"""The log: dense, written once, read from any place."""

import asyncio
import json
import sys
from collections.abc import Sequence

import pytest
from sqlalchemy import create_engine, text

from longrun.store.db.database import Tx
from longrun.store.db.engines import driver
from longrun.store.db.sql import insert_into
from longrun.store.log import Append, FencedError, append, restore
from longrun.store.log_reader import LogReader, Segment
from longrun.store.runs import insert_run
from longrun.workflows.contract.events import ToolProgress, type_of
from longrun.workflows.contract.requests import ModelCall
from longrun.workflows.contract.results import Span, Superseded
from tests.build import START, Stores, finish, order, says
from tests.patience import until_true


def reports(run_id: str, *call_ids: str) -> Sequence[ToolProgress]:
    return [ToolProgress(run_id=run_id, at=START, call_id=call_id) for call_id in call_ids]


async def put(store: Stores, run_id: str, source: str, *names: str) -> Span:
    entry = Append(run_id, source, reports(run_id, *names))
    return await store.database.write(lambda tx: append(tx, entry))


def seqs(lines: Sequence[bytes]) -> list[int]:
    return [json.loads(line)["seq"] for line in lines]


async def test_events_are_numbered_from_one_without_gaps(store: Stores) -> None:
    run = await store.accept()
    assert await put(store, run.run_id, "a", "x", "y") == Span(first=2, last=3)
    assert await put(store, run.run_id, "b", "z") == Span(first=4, last=4)
    lines = await store.lines(run.run_id)
    assert [type_of(line) for line in lines] == ["run.accepted", "tool.progress", "tool.progress", "tool.progress"]
    assert seqs(lines) == [1, 2, 3, 4]
    assert await store.log.head(run.run_id) == 4


async def test_two_processes_that_append_to_a_run_leave_a_dense_and_complete_log(
    database_url: str, store: Stores
) -> None:
    run = await store.accept()
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.store.append_child", database_url, run.run_id, name, "60"
        )
        for name in ("left", "right")
    ]
    assert [await child.wait() for child in children] == [0, 0]
    events = [json.loads(line) for line in await store.lines(run.run_id, most=7)]
    assert [event["seq"] for event in events] == list(range(1, 242))
    assert sorted(event["call_id"] for event in events[1:]) == ["left"] * 120 + ["right"] * 120


async def test_an_unknown_run_is_not_written_to(store: Stores) -> None:
    with pytest.raises(FencedError):
        await put(store, "nobody", "a", "x")
    assert await store.log.head("nobody") is None
    assert await store.log.page("nobody", 0) == []


async def test_a_fence_keeps_an_older_attempt_out(store: Stores) -> None:
    run = await store.accept()
    call = ModelCall(run_id=run.run_id, step=1)
    first = await store.begin(call)
    await store.babble(call, first, ["a"])
    second = await store.begin(call)
    with pytest.raises(FencedError):
        await store.babble(call, first, ["b"])
    before = await store.log.head(run.run_id)
    await store.babble(call, second, ["c"])
    assert await store.log.head(run.run_id) == (before or 0) + 1


async def test_a_fence_that_falls_while_an_append_waits_for_the_run_keeps_it_out(postgres_url: str) -> None:
    """What counts is what is true when the append gets the run's lock, not when it began to wait."""
    store, engine = Stores.over(postgres_url), create_engine(driver(postgres_url))
    run = await store.accept()
    call = ModelCall(run_id=run.run_id, step=1)
    first = await store.begin(call)
    with engine.begin() as other:
        other.execute(text("SELECT last_seq FROM heads FOR UPDATE"))
        other.execute(text("UPDATE steps SET attempt = 2"))
        late = asyncio.create_task(store.babble(call, first, ["late"]))
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        await until_true(lambda: other.execute(text(waits)).scalar(), lambda: "a writer that waits for the lock")
    engine.dispose()
    with pytest.raises(FencedError):
        await late
    assert await store.log.head(run.run_id) == 2
    await store.database.aclose()


async def test_what_an_attempt_wrote_is_marked_and_left_out_of_the_settled_log(store: Stores) -> None:
    run = await store.accept()
    call = ModelCall(run_id=run.run_id, step=1)
    await store.babble(call, await store.begin(call), ["lost ", "text"])
    attempt = await store.begin(call)
    raw, settled = await store.lines(run.run_id), await store.lines(run.run_id, settled=True)
    assert [type_of(line) for line in raw] == [
        *("run.accepted", "step.started", "text.delta", "text.delta", "attempt.superseded")
    ]
    assert seqs(settled) == [1, 2, 5]
    (notice,) = attempt.notices
    assert isinstance(notice, Superseded)
    assert (notice.first, notice.last, notice.stamp.first) == (3, 4, 5)
    notice = json.loads(raw[-1])
    assert (notice["from"], notice["to"], notice["attempt"]) == (3, 4, 1)


async def test_reading_from_every_seq_equals_the_whole_log(store: Stores) -> None:
    run = await store.accept()
    for step in range(1, 4):
        await store.ask(ModelCall(run_id=run.run_id, step=step), says("one two three four five"))
    await store.runs.finish(finish(run.run_id), START)
    whole = await store.lines(run.run_id)
    assert len(whole) > 25
    for most in (1, 3, 500):
        for after in range(len(whole) + 2):
            assert await store.lines(run.run_id, after, most=most) == whole[after:]


async def test_news_of_many_runs_come_in_one_look_in_order(store: Stores) -> None:
    runs = [await store.accept() for _ in range(5)]
    for run in runs:
        await put(store, run.run_id, "a", "x", "y")
        await put(store, run.run_id, "b", "z")
    cursors = {run.run_id: 3 if n % 2 else 0 for n, run in enumerate(runs)} | {"nobody": 0}
    news = await store.log.new(cursors)
    positions = [(segment.run_id, segment.first, segment.last) for segment in news]
    wanted = [(r.run_id, f, t) for n, r in enumerate(runs) for f, t in ((1, 1), (2, 3), (4, 4)) if not n % 2 or f == 4]
    assert positions == sorted(wanted)
    for segment in news:
        assert seqs(segment.lines(0)) == list(range(segment.first, segment.last + 1))
    assert await store.log.new({}) == []


async def test_news_have_a_limit(store: Stores) -> None:
    class Short(LogReader):
        MOST_NEW = 3

    run = await store.accept()
    for n in range(5):
        await put(store, run.run_id, f"s{n}", "x")
    news = await Short(store.database).new({run.run_id: 0})
    assert [segment.first for segment in news] == [1, 2, 3]


async def test_a_lost_log_is_put_back_and_keeps_the_place_of_what_is_gone(store: Stores) -> None:
    run = order()
    lines = {seq: b'{"seq":%d,"type":"tool.progress"}' % seq for seq in range(1, 1301) if not 700 <= seq < 705}

    def job(tx: Tx) -> None:
        insert_run(tx, run, 1, (None, None))
        insert_into(tx, "heads", run_id=run.run_id, last_seq=0)
        restore(tx, run.run_id, lines, 1300)

    await store.database.write(job)
    assert await store.lines(run.run_id) == list(lines.values())
    page = await store.log.page(run.run_id, 0)
    assert [segment.first for segment in page[1:]] == [segment.last + 1 for segment in page[:-1]]
    assert [(s.first, s.last, s.body) for s in page if s.superseded] == [(700, 704, b"")]
    assert max(segment.last - segment.first for segment in page) == 499
    assert await store.log.head(run.run_id) == 1300
    assert await put(store, run.run_id, "then", "x") == Span(first=1301, last=1301)


async def test_restoring_leaves_what_is_there(store: Stores) -> None:
    run = await store.accept()
    await put(store, run.run_id, "a", "x", "y")
    whole = await store.lines(run.run_id)
    wrong = {seq: b'{"seq":%d,"type":"wrong"}' % seq for seq in range(1, 3)}
    await store.database.write(lambda tx: restore(tx, run.run_id, wrong, 2))
    assert await store.lines(run.run_id) == whole
    assert await store.log.head(run.run_id) == 3


def test_a_segment_without_a_body_has_no_lines() -> None:
    segment = Segment("run", 4, 6, superseded=True, body=b"")
    assert segment.lines(0) == []
    assert Segment("run", 4, 6, superseded=False, body=b"a\nb\nc").lines(5) == [b"c"]
