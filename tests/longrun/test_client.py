import pytest

from longrun.client import Api, ApiError, ClientError, Patience, UnreachableError, open_api
from longrun.workflows.contract.events import RunCompleted
from longrun.workflows.contract.runs import Decision
from tests.gateway.answering import AWAY, HANGS_UP, QUICK, broken, frames, plain, playing, problem, whole


async def seqs(api: Api, after: int = 0) -> list[int]:
    return [line.seq async for line in api.follow("r", after)]


async def test_a_stream_that_breaks_off_is_taken_up_where_it_broke() -> None:
    cut_in_an_event = broken(frames(1, 3) + frames(4, 4)[:-9])
    async with playing(cut_in_an_event, HANGS_UP, AWAY, whole(frames(4, 6, ends=True))) as (api, played):
        assert await seqs(api) == [1, 2, 3, 4, 5, 6]
    assert [int(each.rpartition("=")[2]) for each in played.asked] == [0, 3, 3, 3]


async def test_a_stream_that_ends_before_the_run_is_not_its_end() -> None:
    async with playing(whole(frames(1, 2)), whole(frames(3, 3, ends=True))) as (api, _):
        assert await seqs(api) == [1, 2, 3]


async def test_a_farewell_before_the_first_event_is_no_event() -> None:
    farewell = ": the gateway stops\nretry: 1000\n\n"
    answers = (broken(farewell), broken(frames(1, 2) + farewell), whole(frames(3, 3, ends=True)))
    async with playing(*answers) as (api, _):
        assert await seqs(api) == [1, 2, 3]


async def test_what_is_sent_twice_is_given_once() -> None:
    async with playing(broken(frames(1, 3)), whole(frames(2, 5, ends=True))) as (api, _):
        assert await seqs(api) == [1, 2, 3, 4, 5]


async def test_a_finished_run_without_more_events_ends_at_once() -> None:
    async with playing(b"HTTP/1.1 204 No Content\r\n\r\n") as (api, played):
        assert await seqs(api, 7) == []
    assert played.asked == ["GET /api/runs/r/stream?starting_after=7"]


async def test_an_event_is_parsed_and_an_unknown_one_is_nothing() -> None:
    unknown = 'id: 1\nevent: run.sang\ndata: {"seq":1,"type":"run.sang"}\n\n'
    async with playing(whole(unknown + frames(2, 2, ends=True))) as (api, _):
        events = [line.event() async for line in api.follow("r")]
    assert events[0] is None
    assert isinstance(events[1], RunCompleted)


async def test_a_server_that_stays_away_is_given_up_with_its_last_word() -> None:
    async with playing(broken(frames(1, 1)), AWAY, AWAY, AWAY) as (api, _):
        with pytest.raises(UnreachableError, match="gave up after 4 attempts: the store does not answer"):
            await seqs(api)


async def test_events_that_come_renew_the_patience() -> None:
    answers = [part for seq in range(1, 8) for part in (broken(frames(seq, seq)), AWAY, AWAY)]
    async with playing(*answers, whole(frames(8, 8, ends=True))) as (api, _):
        assert await seqs(api) == list(range(1, 9))


async def test_an_interruption_is_announced_once() -> None:
    notices: list[str] = []
    async with (
        playing(broken(frames(1, 1)), AWAY, AWAY, whole(frames(2, 2, ends=True))) as (_, played),
        open_api(played.url, notices.append, QUICK) as api,
    ):
        assert await seqs(api) == [1, 2]
    assert len(notices) == 1
    assert "broke off" in notices[0]


async def test_a_server_that_was_never_there_is_told_at_once(free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}"
    async with open_api(url, pytest.fail) as api:
        for asking in (api.get("r"), api.start({}), anext(api.follow("r"))):
            with pytest.raises(UnreachableError, match=f"nobody answers at {url}.*`longrun dev`"):
                await asking


async def test_a_refusal_says_why_in_the_servers_words() -> None:
    async with playing(problem("404 Not Found", "run_id: there is no run r")) as (api, _):
        with pytest.raises(ApiError, match="there is no run r") as raised:
            await seqs(api)
    assert raised.value.status == 404


async def test_somebody_else_on_the_port_is_recognised() -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"
    async with playing(page, page, problem("404 Not Found", "").replace(b"problem+json", b"json")) as (api, _):
        for asking in (api.get("r"), anext(api.follow("r")), api.get("r")):
            with pytest.raises(ClientError, match="is not longrun"):
                await asking


@pytest.mark.parametrize("url", ["localhost:8283", "ftp://localhost", "http://a:b", "nowhere"])
async def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ClientError, match="is no address of a server"):
        async with open_api(url, pytest.fail) as api:
            await api.get("r")


async def test_a_start_whose_answer_got_lost_is_repeated_under_the_same_key() -> None:
    async with playing(HANGS_UP, AWAY, plain("201 Created", {"id": "r"})) as (api, played):
        assert await api.start({"agent": "a", "input": "b"}) == {"id": "r"}
    keys = {line for head in played.headers for line in head.split("\r\n") if line.startswith("idempotency-key")}
    assert len(keys) == 1
    assert played.bodies == [{"agent": "a", "input": "b"}] * 3


async def test_a_start_is_given_up_sooner_than_a_stream() -> None:
    async with playing(AWAY, AWAY, AWAY) as (api, _):
        with pytest.raises(UnreachableError, match="gave up after 3 attempts"):
            await api.start({})


async def test_what_is_said_to_a_run_reaches_its_place() -> None:
    delivered = plain("200 OK", {"run_id": "r", "delivery": "delivered"})
    async with playing(delivered, delivered, plain("200 OK", {})) as (api, played):
        assert await api.cancel("r", "enough", "ann") == "delivered"
        assert await api.say("r", "more", "ann") == "delivered"
        await api.decide("r", Decision(call_id="a/b", decision="deny", reason="no", by="ann", id="x"))
    assert played.asked == ["POST /api/runs/r/cancel", "POST /api/runs/r/messages", "POST /api/approvals/a%2Fb"]
    assert played.bodies[0] == {"reason": "enough", "by": "ann"}
    assert played.bodies[1]["text"] == "more"
    assert played.bodies[2] == {"decision": "deny", "reason": "no", "by": "ann", "run_id": "r"}


async def test_a_call_that_is_interrupted_is_not_repeated() -> None:
    async with playing(AWAY) as (api, played):
        with pytest.raises(UnreachableError, match="the store does not answer"):
            await api.cancel("r", None, "ann")
    assert len(played.asked) == 1


def test_pauses_grow_to_a_bound_and_follow_the_server() -> None:
    patience = Patience(first=1, most=5)
    assert [patience.pause(failures, 0) for failures in (1, 2, 3, 4, 1000)] == [1, 2, 4, 5, 5]
    assert patience.pause(1, 3) == 3
    assert patience.pause(1, 3600) == 5


async def test_no_proxy_stands_before_the_own_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with playing(plain("200 OK", {"id": "r"})) as (api, _):
        assert await api.get("r") == {"id": "r"}
