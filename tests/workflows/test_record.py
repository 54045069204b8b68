"""What a run leaves in its log: what the store has written, told again from what the activities returned."""

import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from longrun.runtime.ids import new_id
from longrun.store.attempts import Taker
from longrun.store.db.schema import migrate
from longrun.workflows import record
from longrun.workflows.contract.events import Event, RunCancelled, RunCompleted, RunFailed, ToolStarted, encode, number
from longrun.workflows.contract.messages import Message, TextPart
from longrun.workflows.contract.requests import Answer, ModelCall, Pause, Verdicts
from longrun.workflows.contract.results import (
    Finished,
    ModelReply,
    Paused,
    Progress,
    Recorded,
    Span,
    Stamp,
    ToolOutcome,
)
from longrun.workflows.contract.runs import Decision, Outcome, Said
from longrun.workflows.deltas import Attempt, played
from tests.build import START, Stores, answer, at, calls, draft, finish, retold, says, tool_call
from tests.workflows.message_parts import cut_messages

STAMP = Stamp(first=9, at=START)
ENDED: dict[str, object] = {"run_id": "r", "turn": 1, "usage": {}}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stores]:
    """A store for all tests here."""
    folder: Path = tmp_path_factory.mktemp("record")
    url = f"sqlite:///{folder / 'longrun.db'}"
    migrate(url)
    stores = Stores.over(url)
    yield stores
    await stores.database.aclose()


def lines(events: Sequence[Event]) -> list[bytes]:
    """The events as the log keeps them."""
    return [number(event.seq, encode(event)) for event in events]


def batches(events: Sequence[Event], sizes: Sequence[int]) -> Iterator[Sequence[Event]]:
    """The events in commits of these sizes; what is left over is one more."""
    start = 0
    for size in sizes:
        if start < len(events):
            yield events[start : start + size]
        start += size
    if start < len(events):
        yield events[start:]


async def streamed(
    store: Stores, call: ModelCall, message: Message, marks: tuple[int, ...], sizes: Sequence[int]
) -> ModelReply:
    """A step as the model activity writes it, with a pause in which somebody else writes too."""
    attempt = await store.begin(call)
    events = list(played(Attempt(call.run_id, call.step, attempt.number, START, message.id), message, marks))
    spans: list[Span] = []
    for index, batch in enumerate(batches(events, sizes)):
        spans.append(await store.steps.append(attempt, index, batch))
        if index == 1:
            late = tool_call(call.run_id, 1, calls("late").calls[0])
            await store.calls.progress(late, 1, 1, {"percent": index}, at(1))
    reply = draft(attempt, message).model_copy(update={"marks": marks})
    return await store.steps.complete(
        attempt, [], lambda last: reply.model_copy(update={"spans": (*spans, last)}), reply
    )


@given(cut=cut_messages(), sizes=st.lists(st.integers(1, 4), max_size=12))
async def test_any_message_is_told_as_it_was_written(
    store: Stores, cut: tuple[Message, tuple[int, ...]], sizes: list[int]
) -> None:
    message, marks = cut
    message = message.model_copy(update={"id": new_id()})
    run_id = (await store.accept()).run_id
    said = (Said(text="Hm.", by="ann"), Said(text="Well.", id="w"))
    first = await store.ask(ModelCall(run_id=run_id, step=1), calls("late"))
    late = tool_call(run_id, 1, calls("late").calls[0])
    await store.calls.begin(late, None, Taker("worker", at(1)))
    reply = await streamed(store, ModelCall(run_id=run_id, step=2, said=said), message, marks, sizes)
    derived = lines(retold(run_id, first, reply))
    written = [line for line in await store.lines(run_id) if b'"type":"tool.' not in line]
    assert derived == written[1:]


async def test_an_end_tells_what_it_closes(store: Stores) -> None:
    run_id = (await store.accept()).run_id
    message = calls("c1", "c2")
    await store.ask(ModelCall(run_id=run_id, step=1), message)
    await store.calls.begin(tool_call(run_id, 1, message.calls[0]), None, Taker("worker", at(1)))
    attempt = await store.begin(ModelCall(run_id=run_id, step=2), at(2))
    await store.babble(ModelCall(run_id=run_id, step=2), attempt, ["half", " a"])
    before = len(await store.lines(run_id))
    ended, _ = await store.runs.finish(finish(run_id), at(3))
    arguments = {call.call_id: call.arguments for call in message.calls}
    derived = {event.seq: event for event in retold(run_id, ended, text=message.text, arguments=arguments)}
    written = await store.lines(run_id, before)
    assert lines([derived[seq] for seq in range(before + 1, before + len(written) + 1)]) == written
    assert [event.type for event in derived.values() if event.seq <= before] == ["step.started", "tool.started"]
    assert [event.attempt for event in derived.values() if event.type == "attempt.superseded"] == [1]


async def test_a_run_that_ends_at_once_tells_of_nothing_else(store: Stores) -> None:
    run_id = (await store.accept()).run_id
    ended, _ = await store.runs.finish(finish(run_id), at(3))
    assert lines(retold(run_id, ended)) == (await store.lines(run_id))[1:]


async def test_a_call_that_is_answered_without_running_has_only_its_result(store: Stores) -> None:
    run_id = (await store.accept()).run_id
    await store.ask(ModelCall(run_id=run_id, step=1), calls("c1"))
    given = Answer(call_id="c1", name="search", status="denied", content="no")
    (outcome,) = await store.calls.answer(run_id, [given], at(1))
    (event,) = retold(run_id, outcome)
    assert lines([event]) == (await store.lines(run_id))[-1:]


@pytest.mark.parametrize(("edited", "used"), [(None, '{"q": 1}'), ("", ""), ('{"q":2}', '{"q":2}')])
def test_a_call_tells_the_arguments_that_it_ran_with(edited: str | None, used: str) -> None:
    outcome = ToolOutcome(
        step=1,
        call_id="c",
        name="look",
        status="ok",
        content="",
        attempt=2,
        arguments=edited,
        started=Stamp(first=4, at=START),
        progress=(Progress(step=1, call_id="c", attempt=2, index=1, data=None, stamp=Stamp(first=7, at=START)),),
        stamp=STAMP,
    )
    started, progress, completed = retold("r", outcome, arguments={"c": '{"q": 1}'})
    assert isinstance(started, ToolStarted)
    assert started.arguments == used
    assert [(event.seq, event.attempt) for event in (started, progress, completed)] == [(4, 1), (7, 2), (9, 2)]


def test_the_first_turn_has_the_runs_id_and_a_later_one_a_uuid_of_its_time() -> None:
    run_id = str(uuid.uuid4())
    assert record.turn_id(run_id, 1, START) == run_id
    ids = [uuid.UUID(record.turn_id(run_id, turn, at(turn))) for turn in (2, 3, 4)]
    assert [each.version for each in ids] == [7, 7, 7]
    assert {each.variant for each in ids} == {uuid.RFC_4122}
    assert [each.int >> 80 for each in ids] == [int(at(turn).timestamp() * 1000) for turn in (2, 3, 4)]
    assert len({each.int & (1 << 74) - 1 for each in ids}) == 3
    assert record.turn_id(run_id, 2, at(2)) == str(ids[0])


def test_the_same_words_are_the_same_message_whenever_they_are_told() -> None:
    named, nameless = Said(text="Hm.", id="w"), Said(text="Hm.")
    assert record.said_message("r", 2, 0, named) == record.said_message("r", 3, 1, named)
    assert record.said_message("r", 2, 0, nameless) == record.said_message("r", 2, 0, nameless)
    ids = {record.said_message(run, 2, index, nameless).id for run in "rs" for index in (0, 1)}
    assert len(ids | {record.said_message("r", 2, 0, named).id}) == 5
    assert record.said_message("r", 2, 0, named).parts == (TextPart(text="Hm."),)


def verdicts(*decisions: Decision, expired: Sequence[str] = (), resume: bool) -> Verdicts:
    """What was decided in the first turn."""
    return Verdicts.of(pause(), decisions=decisions, expired=expired, resume=resume)


def pause() -> Pause:
    """A pause of the first turn."""
    return Pause.model_validate({**ENDED, "step": 2, "calls": [], "expires_at": START})


def test_a_pause_asks_ends_its_turn_and_waits() -> None:
    events = retold("r", Paused(pause=pause(), turn_id="turn", stamp=STAMP))
    assert [(event.seq, event.type) for event in events] == [
        (9, "approval.requested"),
        (10, "turn.ended"),
        (11, "run.waiting"),
    ]


def test_only_the_last_verdict_begins_a_turn() -> None:
    first = verdicts(Decision(call_id="a", decision="approve"), resume=False)
    last = verdicts(Decision(call_id="b", decision="deny"), expired=["c"], resume=True)
    assert [event.type for event in retold("r", Recorded(verdicts=first, stamp=STAMP))] == ["approval.decided"]
    events = retold("r", Recorded(verdicts=last, stamp=STAMP))
    assert [(event.seq, event.type) for event in events] == [
        (9, "approval.decided"),
        (10, "approval.expired"),
        (11, "run.resumed"),
    ]


def ends(**outcome: object) -> Event:
    """The last event of a run with this outcome."""
    given = finish("r", Outcome.model_validate(outcome))
    return retold("r", Finished(finish=given, turn_id="turn", stamp=STAMP), text=says("Done.").text)[-1]


def test_an_end_says_what_is_known_of_it() -> None:
    done = ends(status="completed", stop_reason="max_steps")
    assert isinstance(done, RunCompleted)
    assert (done.stop_reason, done.output) == ("max_steps", "Done.")
    known = ends(status="cancelled", stop_reason="cancelled", cancel={"by": "ann", "reason": "enough"})
    unknown = ends(status="cancelled", stop_reason="cancelled")
    assert isinstance(known, RunCancelled)
    assert isinstance(unknown, RunCancelled)
    assert [(each.by, each.reason) for each in (known, unknown)] == [("ann", "enough"), ("unknown", None)]
    failed = ends(status="failed", stop_reason="expired")
    assert isinstance(failed, RunFailed)
    assert (failed.error.type, failed.error.message) == ("expired", "the run failed")


def test_a_message_without_parts_is_told_too() -> None:
    reply = ModelReply.model_validate(
        {
            "message": answer(),
            "finish_reason": "stop",
            "usage": {},
            "attempt": 1,
            "step": 1,
            "opened": {"step": 1, "stamp": {"first": 2, "at": START}, "model": "scripted/x"},
            "attempt_at": START,
            "marks": (),
            "spans": [{"first": 3, "last": 3}],
            "completed_at": START,
        }
    )
    assert [event.type for event in retold("r", reply)] == ["step.started", "message.completed"]
