"""Requests whose answers are lost, refused, late or not longrun's: sent by both kinds of client."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from longrun.client import ApiError, AsyncClient, ClientError, UnreachableError, operations
from longrun.workflows.contract.runs import Decision
from tests.gateway.answering import (
    DELIVERED,
    HANGS_UP,
    QUICK,
    RUN,
    UNAVAILABLE,
    Played,
    plain,
    playing,
    problem,
)
from tests.longrun.client.driving import EITHER, Driver, Kind, driving

STARTED = plain("201 Created", RUN)
BUSY = problem("503 Service Unavailable", "the store does not answer", "Retry-After: 1\r\n")


@asynccontextmanager
async def client_of(kind: Kind, *answers: bytes) -> AsyncGenerator[tuple[Driver, Played]]:
    async with playing(*answers) as played, driving(kind, played.url, QUICK) as client:
        yield client, played


def sent_keys(played: Played) -> list[str]:
    return [line for head in played.headers for line in head.split("\r\n") if line.startswith("idempotency-key")]


@EITHER
async def test_a_start_whose_answer_is_lost_is_repeated_with_the_same_key(kind: Kind) -> None:
    async with client_of(kind, HANGS_UP, UNAVAILABLE, STARTED) as (client, played):
        run = await client.ask(operations.start_run, "clerk", "go", thread_id="t")
    assert run.id == "r"
    assert len(sent_keys(played)) == 3
    assert len(set(sent_keys(played))) == 1
    assert played.bodies == [{"agent": "clerk", "input": "go", "thread_id": "t"}] * 3


@EITHER
async def test_two_starts_have_two_keys_unless_the_caller_gives_one(kind: Kind) -> None:
    async with client_of(kind, STARTED, STARTED, STARTED) as (client, played):
        await client.ask(operations.start_run, "clerk", "go")
        await client.ask(operations.start_run, "clerk", "go")
        await client.ask(operations.start_run, "clerk", "go", idempotency_key="mine")
    first, second, third = sent_keys(played)
    assert first != second
    assert third == "idempotency-key: mine"


@EITHER
async def test_a_start_that_nobody_answers_is_given_up(kind: Kind) -> None:
    async with client_of(kind, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE) as (client, _):
        with pytest.raises(UnreachableError, match="gave up after 3 attempts: the store does not answer"):
            await client.ask(operations.start_run, "clerk", "go")
        assert client.interruptions == ["the store does not answer"]


@EITHER
async def test_what_is_said_and_decided_is_repeated_under_one_id(kind: Kind) -> None:
    done = plain("200 OK", DELIVERED)
    async with client_of(kind, HANGS_UP, done, HANGS_UP, done) as (client, played):
        await client.ask(operations.say_to_run, "r", "more", "ann")
        decision = Decision(call_id="a/b", decision="edit", args={"note": None}, by="ann")
        await client.ask(operations.decide, decision, "r")
    said, repeated, decided, again = played.bodies
    assert said == repeated
    assert decided == again
    assert (said["text"], said["by"]) == ("more", "ann")
    sent = {"call_id": "a/b", "decision": "edit", "args": {"note": None}, "by": "ann", "run_id": "r", "id": ""}
    assert {**decided, "id": ""} == sent
    assert played.requests[2:] == ["POST /api/approvals"] * 2


@EITHER
async def test_what_is_not_harmless_twice_is_not_repeated(kind: Kind) -> None:
    async with client_of(kind, UNAVAILABLE, HANGS_UP) as (client, played):
        with pytest.raises(UnreachableError, match=r"^the store does not answer$"):
            await client.ask(operations.create_agent, {"name": "clerk"})
        with pytest.raises(UnreachableError, match="broke off"):
            await client.ask(operations.delete_agent, "clerk")
    assert len(played.requests) == 2


@EITHER
async def test_a_server_that_asks_for_time_gets_it_or_is_given_up(kind: Kind) -> None:
    async with playing(BUSY) as played, driving(kind, played.url, replace(QUICK, maximum_retry_after=0.5)) as client:
        with pytest.raises(UnreachableError, match="gave up after 1 attempts"):
            await client.ask(operations.get_run, "r")
    async with playing(BUSY, plain("200 OK", RUN)) as played, driving(kind, played.url, QUICK) as client:
        assert (await client.ask(operations.get_run, "r")).id == "r"


@EITHER
async def test_a_server_that_was_never_there_is_an_error_at_once(kind: Kind, free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}"
    async with driving(kind, url, QUICK) as client:
        for asking in (
            client.ask(operations.get_run, "r"),
            client.ask(operations.start_run, "a", "b"),
            client.read("r"),
        ):
            with pytest.raises(UnreachableError, match=f"nobody answers at {url}.*`longrun dev`"):
                await asking
        assert client.interruptions == []


@EITHER
async def test_a_refusal_says_why_in_the_servers_terms(kind: Kind) -> None:
    errors = [{"field": "run_id", "message": "there is no run r"}]
    async with client_of(kind, problem("404 Not Found", "run_id: there is no run r", errors=errors)) as (client, _):
        with pytest.raises(ApiError, match="there is no run r") as refused:
            await client.ask(operations.get_run, "r")
    assert (refused.value.status, refused.value.problem["errors"]) == (404, errors)


@EITHER
async def test_another_server_at_the_address_is_recognised(kind: Kind) -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"
    plain_404 = problem("404 Not Found", "").replace(b"problem+json", b"json")
    async with client_of(kind, page, page, plain_404) as (client, _):
        for asking in (
            client.ask(operations.get_run, "r"),
            client.read("r"),
            client.ask(operations.get_run, "r"),
        ):
            with pytest.raises(ClientError, match="is not longrun"):
                await asking


@EITHER
async def test_an_answer_of_another_shape_is_an_error_that_names_it(kind: Kind) -> None:
    async with client_of(kind, plain("200 OK", {**RUN, "status": "dreaming"})) as (client, _):
        with pytest.raises(ClientError, match=r"(?s)another shape.*status"):
            await client.ask(operations.get_run, "r")


@EITHER
@pytest.mark.parametrize("url", ["localhost:8283", "ftp://localhost", "http://a:b", "nowhere"])
def test_an_address_that_is_none_is_refused(kind: Kind, url: str) -> None:
    with pytest.raises(ClientError, match="is no address of a server"):
        kind(url)


@EITHER
def test_settings_that_cannot_be_used_are_an_error_of_the_client(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGRUN_API_KEY", "ann:sekret:x")
    with pytest.raises(ClientError, match=r"settings of longrun cannot be used: LONGRUN_API_KEY .*bad name") as wrong:
        kind()
    assert "sekret" not in str(wrong.value)


@EITHER
async def test_no_proxy_stands_before_the_own_machine(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with client_of(kind, plain("200 OK", RUN)) as (client, _):
        assert (await client.ask(operations.get_run, "r")).id == "r"


@EITHER
async def test_headers_go_with_every_request(kind: Kind) -> None:
    async with (
        playing(plain("200 OK", RUN)) as played,
        driving(kind, played.url, QUICK, Authorization="Bearer x") as client,
    ):
        await client.ask(operations.get_run, "r")
    assert "authorization: bearer x" in played.headers[0]


async def test_the_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with playing(plain("200 OK", RUN)) as played:
        monkeypatch.setenv("LONGRUN_URL", played.url)
        async with AsyncClient() as client:
            assert (await client.get_run("r")).id == "r"
