"""Reading a log from any position, over a real socket."""

import asyncio
import json
import signal
from pathlib import Path

import httpx2
import pytest

from longrun.runtime.settings import Settings
from longrun.workflows.contract.events import EVENT
from longrun.workflows.contract.requests import ModelCall
from tests.build import START, Stores, finish, says
from tests.gateway.native.conftest import Stand, complete, wait_for
from tests.gateway_process import gateway_process
from tests.patience import PATIENCE
from tests.running import Front, serving


async def body(front: Front, path: str, **headers: str) -> bytes:
    """The raw body of a stream that ends."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await front.http.get(path, headers=named)
    assert response.status_code == 200, response.text
    return response.content


async def test_a_stream_resumed_after_any_event_is_exactly_the_rest(stand: Stand) -> None:
    path = f"/api/runs/{stand.finished}/stream"
    whole = await body(stand.front, path)
    blocks = whole.removesuffix(b"\n\n").split(b"\n\n")
    assert len(blocks) == 200
    for seq in range(1, 200):
        remaining = b"".join(block + b"\n\n" for block in blocks[seq:])
        assert await body(stand.front, f"{path}?starting_after={seq}") == remaining
        assert await body(stand.front, path, Last_Event_ID=str(seq)) == remaining


async def test_a_frame_has_the_seq_the_type_and_the_event(stand: Stand) -> None:
    found = await stand.front.frames(stand.finished)
    assert [seq for seq, _, _ in found] == list(range(1, 201))
    for seq, kind, data in found:
        event = EVENT.validate_json(data)
        assert (event.seq, event.type) == (seq, kind)
    assert found[-1][1] == "run.completed"


async def test_the_last_event_id_goes_over_the_query(stand: Stand) -> None:
    found = await stand.front.frames(stand.finished, "?starting_after=3", Last_Event_ID="198")
    assert [seq for seq, _, _ in found] == [199, 200]


@pytest.mark.parametrize("nothing", ["", "?starting_after=0", "?starting_after=", "?starting_after=null"])
async def test_no_position_is_the_beginning(stand: Stand, nothing: str) -> None:
    assert len(await stand.front.frames(stand.finished, nothing)) == 200


async def test_an_empty_last_event_id_is_none(stand: Stand) -> None:
    assert len(await stand.front.frames(stand.finished, Last_Event_ID="")) == 200
    found = await stand.front.frames(stand.finished, "?starting_after=198", Last_Event_ID="")
    assert [seq for seq, _, _ in found] == [199, 200]


async def test_a_stream_that_has_nothing_more_to_say_answers_204(stand: Stand) -> None:
    path = f"/api/runs/{stand.finished}/stream"
    for response in (
        await stand.front.http.get(f"{path}?starting_after=200"),
        await stand.front.http.get(path, headers={"Last-Event-ID": "200"}),
    ):
        assert (response.status_code, response.content) == (204, b"")


async def test_a_stream_is_not_to_be_cached_or_buffered(stand: Stand) -> None:
    response = await stand.front.http.head(f"/api/runs/{stand.finished}/stream")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"


async def test_pages_of_events_are_the_stream_in_json(stand: Stand) -> None:
    streamed = [json.loads(data) for _, _, data in await stand.front.frames(stand.finished)]
    paged: list[object] = []
    after, done = 0, False
    while not done:
        response = await stand.front.http.get(f"/api/runs/{stand.finished}/events?starting_after={after}&limit=7")
        page = response.json()
        assert 0 < len(page["events"]) <= 7
        paged += page["events"]
        after, done = page["next"], page["done"]
    assert paged == streamed


async def test_a_page_of_a_run_that_goes_on_is_not_the_last(stand: Stand) -> None:
    page = (await stand.front.http.get(f"/api/runs/{stand.waiting}/events")).json()
    assert page["events"][-1]["type"] == "run.waiting"
    assert (page["next"], page["done"]) == (page["events"][-1]["seq"], False)


async def superseded_run(stores: Stores) -> str:
    """A run whose first attempt was lost after two words."""
    run_id = (await stores.accept()).run_id
    call = ModelCall(run_id=run_id, step=1)
    await stores.babble(call, await stores.begin(call), ["lost ", "words"])
    await stores.ask(call, says("What stands."))
    return run_id


async def test_while_a_run_goes_on_all_is_shown_and_then_only_what_stands(stand: Stand) -> None:
    run_id = await superseded_run(stand.stores)
    async with stand.front.http.stream("GET", f"/api/runs/{run_id}/stream") as response:
        live = asyncio.create_task(response.aread())
        await stand.stores.runs.finish(finish(run_id), START)
        raw = await live
    assert b"lost" in raw
    assert raw == await body(stand.front, f"/api/runs/{run_id}/stream?view=raw")
    settled = await body(stand.front, f"/api/runs/{run_id}/stream")
    assert b"lost" not in settled
    assert settled.count(b"event: attempt.superseded\n") == 1
    assert settled == await body(stand.front, f"/api/runs/{run_id}/stream?view=settled")


async def test_readers_of_a_running_run_see_each_event_once_to_the_end(stand: Stand) -> None:
    run_id = await wait_for(stand.stores, "read-1")
    head = await stand.stores.log.head(run_id) or 0
    readers = [asyncio.create_task(stand.front.frames(run_id, f"?starting_after={after}")) for after in range(head + 1)]
    await asyncio.sleep(0)
    await stand.stores.runs.finish(finish(run_id), START)
    for after, reader in enumerate(readers):
        assert [seq for seq, _, _ in await reader] == list(range(after + 1, head + 4))


async def test_a_reader_that_goes_away_changes_nothing(stand: Stand) -> None:
    before = await stand.front.run(stand.waiting), await stand.rows()
    async with stand.front.http.stream("GET", f"/api/runs/{stand.waiting}/stream") as response:
        assert (await anext(response.aiter_bytes())).startswith(b"id: 1\n")
    assert (await stand.front.run(stand.waiting), await stand.rows()) == before


async def test_an_idle_stream_is_kept_alive_by_comments(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, keep_alive=0.05)
    async with serving(settings) as front:
        run = await front.start({"model": "scripted/x"})
        async with asyncio.timeout(PATIENCE), front.http.stream("GET", run["links"]["stream"]) as response:
            seen = b""
            async for piece in response.aiter_bytes():
                seen += piece
                if seen.count(b"\n\n: keep-alive\n\n") >= 1:
                    break
    assert seen.startswith(b"id: 1\nevent: run.accepted\n")


async def test_a_gateway_that_stops_breaks_its_streams_off_and_says_when_to_come_back(tmp_path: Path) -> None:
    seen = bytearray()
    stopping: list[asyncio.Task[int]] = []

    async def read_on(response: httpx2.Response) -> None:
        async for piece in response.aiter_bytes():
            if not seen:
                stopping.append(asyncio.create_task(gateway.end(signal.SIGTERM)))
            seen.extend(piece)

    async with gateway_process(tmp_path) as gateway, httpx2.AsyncClient(base_url=gateway.url, timeout=PATIENCE) as http:
        created = await http.post("/api/runs", json={"agent": {"model": "scripted/x"}, "input": "go"})
        async with http.stream("GET", created.json()["links"]["stream"]) as response:
            with pytest.raises(httpx2.RemoteProtocolError):
                await read_on(response)
        assert await stopping[0] == -signal.SIGTERM
    assert seen.startswith(b"id: 1\nevent: run.accepted\n")
    assert seen.endswith(b"retry: 1000\n\n")


async def test_a_log_that_is_lost_while_temporal_is_away_is_no_end(stand: Stand) -> None:
    run_id = await complete(stand.stores, 60)
    await stand.stores.database.write(
        lambda tx: tx.exec_driver_sql(
            "DELETE FROM segments WHERE run_id = ? AND first_seq > 2 AND last_seq < 55", (run_id,)
        )
    )
    response = await stand.front.http.get(f"/api/runs/{run_id}/stream?starting_after=5")
    assert response.status_code == 503
    with pytest.raises(httpx2.RemoteProtocolError):
        await stand.front.http.get(f"/api/runs/{run_id}/stream")
