"""Streams that break, end too early or have what is not known: read by both kinds of client from prepared answers."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from longrun.client import AnyEvent, ApiError, UnknownEvent, UnreachableError, operations
from longrun.workflows.contract.events import RunCompleted
from tests.gateway.answering import (
    HANGS_UP,
    QUICK,
    UNAVAILABLE,
    Played,
    broken,
    frames,
    plain,
    playing,
    problem,
    whole,
)
from tests.longrun.client.driving import EITHER, Driver, Kind, driving

NOTHING_MORE = b"HTTP/1.1 204 No Content\r\n\r\n"
UNKNOWN = 'id: 1\nevent: run.sang\ndata: {"seq":1,"type":"run.sang","song":"la"}\n\n'


@asynccontextmanager
async def client_of(kind: Kind, *answers: bytes) -> AsyncGenerator[tuple[Driver, Played]]:
    async with playing(*answers) as played, driving(kind, played.url, QUICK) as client:
        yield client, played


def seqs(events: list[AnyEvent]) -> list[int]:
    return [event.seq for event in events]


@EITHER
async def test_a_stream_that_breaks_off_is_taken_up_where_it_broke(kind: Kind) -> None:
    cut_in_an_event = broken(frames(1, 3) + frames(4, 4)[:-9])
    answers = (cut_in_an_event, HANGS_UP, UNAVAILABLE, whole(frames(4, 6, ends=True)))
    async with client_of(kind, *answers) as (client, played):
        assert seqs(await client.read("r")) == [1, 2, 3, 4, 5, 6]
        assert len(client.interruptions) == 1
        assert "broke off" in client.interruptions[0]
    assert [int(each.rpartition("=")[2]) for each in played.requests] == [0, 3, 3, 3]


@EITHER
async def test_a_stream_that_ends_before_the_run_is_not_its_end(kind: Kind) -> None:
    async with client_of(kind, whole(frames(1, 2)), whole(frames(3, 3, ends=True))) as (client, _):
        assert seqs(await client.read("r")) == [1, 2, 3]


@EITHER
async def test_a_stream_that_breaks_after_the_last_event_is_asked_for_more(kind: Kind) -> None:
    async with client_of(kind, broken(frames(1, 2, ends=True)), NOTHING_MORE) as (client, _):
        assert seqs(await client.read("r")) == [1, 2]


@EITHER
async def test_a_farewell_is_no_event(kind: Kind) -> None:
    farewell = ": the gateway stops\nretry: 1000\n\n"
    answers = (broken(farewell), broken(frames(1, 2) + farewell), whole(frames(3, 3, ends=True)))
    async with client_of(kind, *answers) as (client, _):
        assert seqs(await client.read("r")) == [1, 2, 3]


@EITHER
async def test_what_is_sent_twice_is_given_once(kind: Kind) -> None:
    async with client_of(kind, broken(frames(1, 3)), whole(frames(2, 5, ends=True))) as (client, _):
        assert seqs(await client.read("r")) == [1, 2, 3, 4, 5]


@EITHER
async def test_a_finished_run_without_more_events_ends_at_once(kind: Kind) -> None:
    async with client_of(kind, NOTHING_MORE) as (client, played):
        assert await client.read("r", 7) == []
    assert played.requests == ["GET /api/runs/r/stream?starting_after=7"]


@EITHER
async def test_an_event_of_a_newer_server_is_given_with_its_fields_and_breaks_nothing(kind: Kind) -> None:
    async with client_of(kind, whole(UNKNOWN + frames(2, 2, ends=True))) as (client, _):
        unknown, last = await client.read("r")
    assert isinstance(unknown, UnknownEvent)
    assert (unknown.seq, unknown.type, unknown.model_extra) == (1, "run.sang", {"song": "la"})
    assert isinstance(last, RunCompleted)


@EITHER
async def test_an_event_with_a_value_of_a_newer_server_is_an_unknown_one(kind: Kind) -> None:
    newer = frames(1, 1, ends=True).replace("end_turn", "bored")
    async with client_of(kind, whole(newer)) as (client, _):
        (event,) = await client.read("r")
    assert isinstance(event, UnknownEvent)
    assert (event.type, event.run_id) == ("run.completed", "r")


@EITHER
async def test_a_line_has_what_was_sent(kind: Kind) -> None:
    async with client_of(kind, whole(UNKNOWN + frames(2, 2, ends=True))) as (client, _):
        lines = await client.lines("r")
    assert [(line.seq, line.type) for line in lines] == [(1, "run.sang"), (2, "run.completed")]
    assert lines[0].data == '{"seq":1,"type":"run.sang","song":"la"}'


@EITHER
async def test_a_server_that_stays_unavailable_is_given_up_with_its_reason(kind: Kind) -> None:
    answers = (broken(frames(1, 1)), UNAVAILABLE, UNAVAILABLE, UNAVAILABLE)
    async with client_of(kind, *answers) as (client, _):
        with pytest.raises(UnreachableError, match="gave up after 4 attempts: the store does not answer"):
            await client.read("r")


@EITHER
async def test_events_renew_the_attempts(kind: Kind) -> None:
    answers = [each for seq in range(1, 8) for each in (broken(frames(seq, seq)), UNAVAILABLE, UNAVAILABLE)]
    async with client_of(kind, *answers, whole(frames(8, 8, ends=True))) as (client, _):
        assert seqs(await client.read("r")) == list(range(1, 9))


@EITHER
async def test_a_refused_stream_says_why(kind: Kind) -> None:
    refusal = problem("410 Gone", "events before seq 7 are gone", first=7)
    async with client_of(kind, refusal) as (client, _):
        with pytest.raises(ApiError, match="are gone") as refused:
            await client.read("r")
    assert (refused.value.status, refused.value.problem["first"]) == (410, 7)


@EITHER
async def test_a_page_has_unknown_events_too(kind: Kind) -> None:
    page = {"events": [{"seq": 1, "type": "run.sang", "song": "la"}], "next": 1, "done": False}
    async with client_of(kind, plain("200 OK", page)) as (client, _):
        found = await client.ask(operations.list_events, "r")
    assert (found.events[0].type, found.next, found.done) == ("run.sang", 1, False)
