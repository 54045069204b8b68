"""An answer that is lost in the middle is taken up from where the log ends: by its stream, else whole, else anew."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from temporalio.exceptions import ApplicationError

from longrun.activities.answering import cancel_answer
from longrun.activities.model import ModelActivities
from longrun.activities.providers.catalog import ProviderCatalog
from longrun.store.attempts import Attempts
from longrun.workflows.billing import bill
from longrun.workflows.contract.attempts import AttemptEntry
from longrun.workflows.contract.events import Event
from longrun.workflows.contract.messages import Message, ToolCallPart
from longrun.workflows.contract.requests import ModelCall
from longrun.workflows.contract.results import ModelReply
from tests.activities.asking import model_activities
from tests.activities.environment import activity_environment
from tests.activities.providers.asking import catalog_for
from tests.build import START, Stores, agent, finish, order, retold
from tests.logcheck import parsed
from tests.wire import Wire
from tests.wire_answers import (
    Answer,
    Cut,
    Piece,
    call_item,
    message_item,
    reasoning_item,
    response,
    responses_stream,
)

MODEL = "openai/gpt-test"
HIDDEN = {**reasoning_item(), "id": "rs_2", "encrypted_content": "hidden-thought"}
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
ITEMS = (
    reasoning_item("First I think.", "Then I think again."),
    SEARCH,
    message_item("Let me look it up.", 1, phase="commentary"),
    HIDDEN,
    call_item("c1", "look", '{"where": "here"}'),
    call_item("c2", "look", "{}"),
)
WHOLE = responses_stream(*ITEMS)
PLAIN = responses_stream(message_item("One went out. Two came back."))


@dataclass
class Desk:
    """The model activity over a store with a run in it, and the wire on which it asks."""

    stores: Stores
    wire: Wire
    activities: ModelActivities
    run_id: str

    async def ask(self) -> ModelReply:
        """One attempt of step 1."""
        return await activity_environment().run(self.activities.call_model, ModelCall(run_id=self.run_id, step=1))

    async def lose(self, *pieces: Piece) -> None:
        """An attempt that is cut in the middle of its answer."""
        self.wire.play(Answer([*pieces, Cut()]))
        with pytest.raises(ApplicationError):
            await self.ask()

    async def events(self) -> list[Event]:
        """The log as it stands."""
        return parsed(await self.stores.lines(self.run_id))

    async def attempts(self) -> list[AttemptEntry]:
        """The attempts, and what they cost."""
        return await Attempts(self.stores.database).of_run(self.run_id)

    async def cursor(self) -> int:
        """The provider's place up to which the answer has been kept."""
        return (await self.attempts())[-1].provider_cursor or 0


@pytest_asyncio.fixture
async def catalog(server: Wire) -> AsyncIterator[ProviderCatalog]:
    made = catalog_for(server, background=True)
    yield made
    await made.aclose()


async def desk_of(stores: Stores, server: Wire, catalog: ProviderCatalog) -> Desk:
    """A desk over a new run."""
    spec = agent().model_copy(update={"model": MODEL})
    run_id = (await stores.accept(order(spec=spec))).run_id
    return Desk(stores, server, model_activities(catalog, stores), run_id)


@pytest_asyncio.fixture
async def desk(stores: Stores, server: Wire, catalog: ProviderCatalog) -> Desk:
    return await desk_of(stores, server, catalog)


def object_of(status: str, *items: dict[str, Any]) -> Answer:
    """The whole answer as an object."""
    body = json.dumps(response(status, items)).encode()
    return Answer([body], headers={"content-type": "application/json"})


def refusal(status: int) -> Answer:
    """A request for the answer that is refused."""
    return Answer.error(status, {"code": None, "message": "more than 5 minutes old", "type": "invalid_request_error"})


def comparable(message: Message) -> Message:
    """A message without the name that its attempt gave it."""
    return message.model_copy(update={"id": ""})


def message_events(events: Sequence[Event]) -> list[Event]:
    """What the message left in the log."""
    notices = ("step.started", "attempt.failed")
    return [event for event in events if event.step == 1 and event.type not in notices]


def in_order(events: Iterable[Event]) -> list[Event]:
    """Events in the order of the log."""
    return sorted(events, key=lambda event: event.seq)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # each example has a run of its own
@given(cut=st.integers(1, len(WHOLE) - 1))
async def test_an_answer_cut_after_any_event_is_the_same_message_and_the_same_words_once(
    stores: Stores, server: Wire, catalog: ProviderCatalog, cut: int
) -> None:
    desk, other = [await desk_of(stores, server, catalog) for _ in range(2)]
    await desk.lose(*WHOLE[:cut])
    after = await desk.cursor()
    server.play(Answer(WHOLE[after + 1 :]))
    reply = await desk.ask()
    resumed = server.requests[-1]
    assert (resumed.method, resumed.path) == ("GET", "/v1/responses/resp_1")
    assert parse_qs(resumed.query) == {"stream": ["true"], "starting_after": [str(after)]}
    server.play(Answer(WHOLE))
    assert comparable(reply.message) == comparable((await other.ask()).message)
    events = await desk.events()
    assert in_order(retold(desk.run_id, reply)) == [event for event in events if event.step == 1]
    assert not any(event.type == "attempt.superseded" for event in events)
    assert [event.type for event in message_events(events) if event.type.endswith(".completed")] == [
        event.type for event in message_events(await other.events()) if event.type.endswith(".completed")
    ]
    assert [(entry.outcome, entry.recovered) for entry in await desk.attempts()] == [
        *(("failed", "none"), ("completed", "reattached"))
    ]


async def test_an_answer_cut_again_and_again_goes_on_in_one_name_and_is_paid_once(desk: Desk) -> None:
    await desk.lose(*PLAIN[:5])
    for cut in (7, 8):
        await desk.lose(*PLAIN[await desk.cursor() + 1 : cut])
    desk.wire.play(Answer(PLAIN[await desk.cursor() + 1 :]))
    reply = await desk.ask()
    assert reply.message.text == "One went out. Two came back."
    assert {event.attempt for event in message_events(await desk.events())} == {1}
    assert [entry.recovered for entry in reply.attempts] == ["none", *["reattached"] * 3]
    assert {entry.response_id for entry in reply.attempts} == {"resp_1"}
    cost = bill(reply.attempts)
    assert (cost.billed, cost.rebilled) == (32, 0)
    assert [request.method for request in desk.wire.requests] == ["POST", "GET", "GET", "GET"]


async def test_a_stream_that_is_refused_is_waited_for_and_what_was_missing_comes_at_once(desk: Desk) -> None:
    await desk.lose(*WHOLE[:14])
    desk.wire.play(refusal(400), object_of("in_progress"), object_of("completed", *ITEMS))
    reply = await desk.ask()
    assert [part.type for part in reply.message.parts] == [
        *("reasoning", "opaque", "text", "opaque", "tool_call", "tool_call")
    ]
    assert [request.query for request in desk.wire.requests[2:]] == ["", ""]
    assert [entry.recovered for entry in reply.attempts] == ["none", "retrieved"]
    assert in_order(retold(desk.run_id, reply)) == [event for event in await desk.events() if event.step == 1]


@pytest.mark.parametrize("answer", [refusal(404), object_of("failed"), object_of("cancelled")])
async def test_an_answer_that_is_gone_is_asked_for_again_and_the_bill_says_so(desk: Desk, answer: Answer) -> None:
    await desk.lose(*PLAIN[:6])
    desk.wire.play(refusal(404 if answer.status == 404 else 400), *([] if answer.status == 404 else [answer]))
    desk.wire.play(Answer(PLAIN))
    reply = await desk.ask()
    assert reply.message.text == "One went out. Two came back."
    events = await desk.events()
    assert [event.type for event in events].count("attempt.superseded") == 1
    assert {event.attempt for event in message_events(events)} == {1, 2}
    assert [(entry.recovered, entry.estimated) for entry in reply.attempts] == [("none", True), ("reissued", False)]
    cost = bill(reply.attempts)
    assert cost.rebilled > 0
    assert cost.billed - cost.rebilled == 32


async def test_an_answer_that_does_not_fit_what_was_written_is_read_anew_and_not_paid_again(desk: Desk) -> None:
    await desk.lose(*PLAIN[:6])
    other = message_item("Nobody went out.")
    desk.wire.play(Answer(responses_stream(other)[await desk.cursor() + 1 :]), object_of("completed", other))
    reply = await desk.ask()
    assert reply.message.text == "Nobody went out."
    assert [event.type for event in await desk.events()].count("attempt.superseded") == 1
    assert [request.method for request in desk.wire.requests] == ["POST", "GET", "GET"]
    assert bill(reply.attempts).rebilled == 0


async def test_an_answer_whose_written_part_is_gone_from_the_log_is_read_anew(desk: Desk) -> None:
    await desk.lose(*PLAIN[:6])
    await desk.stores.database.write(
        lambda tx: tx.exec_driver_sql("DELETE FROM segments WHERE step = 1 AND attempt = 1")
    )
    desk.wire.play(object_of("completed", message_item("One went out. Two came back.")))
    reply = await desk.ask()
    assert reply.message.text == "One went out. Two came back."
    assert [request.method for request in desk.wire.requests] == ["POST", "GET"]


async def test_a_call_that_a_limit_cut_stays_cut_when_it_is_taken_up(desk: Desk) -> None:
    cut = call_item("c1", "look", '{"where', status="incomplete")
    end = {
        "type": "response.incomplete",
        "response": response("incomplete", [cut], incomplete_details={"reason": "max_output_tokens"}),
    }
    stream = responses_stream(cut, end=end)
    await desk.lose(*stream[:4])
    desk.wire.play(Answer(stream[await desk.cursor() + 1 :]))
    reply = await desk.ask()
    assert reply.finish_reason == "length"
    assert reply.message.calls == ()
    assert isinstance(reply.message.parts[0], ToolCallPart)


async def test_the_end_of_a_run_names_the_answer_that_nobody_waits_for(desk: Desk) -> None:
    await desk.lose(*PLAIN[:6])
    finished, _ = await desk.stores.runs.finish(finish(desk.run_id), START)
    (open_step,) = finished.open_steps
    assert [(entry.response_id, entry.provider) for entry in open_step.attempts] == [("resp_1", MODEL)]


async def test_an_answer_that_nobody_wants_any_more_is_cancelled_at_the_provider(
    server: Wire, catalog: ProviderCatalog
) -> None:
    server.play(object_of("cancelled"), refusal(404))
    await cancel_answer(catalog.resolve(MODEL)[0], "resp_1")
    await cancel_answer(catalog.resolve(MODEL)[0], "resp_1")
    await cancel_answer(catalog.resolve("openai-chat/gpt")[0], "resp_1")
    assert [request.path for request in server.requests] == ["/v1/responses/resp_1/cancel"] * 2
