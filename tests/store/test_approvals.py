"""Pauses and what was decided."""

import asyncio
import json

import pytest
from sqlmodel import col, select

from longrun.store.db.tables import TurnRow
from longrun.store.log import FencedError
from longrun.workflows import record
from longrun.workflows.contract.events import type_of
from longrun.workflows.contract.messages import Message
from longrun.workflows.contract.requests import ModelCall, Verdicts
from longrun.workflows.contract.runs import Decision, RunOrder
from tests.build import Stores, at, calls, finish, pause


async def waiting(store: Stores, *call_ids: str, step: int = 1) -> tuple[RunOrder, Message]:
    """A run that waits for these calls."""
    run = await store.accept()
    reply = await store.ask(ModelCall(run_id=run.run_id, step=step), calls(*call_ids))
    await store.approvals.pause(pause(run.run_id, step, reply.message), at(5))
    return run, reply.message


def verdicts(run_id: str, *decisions: Decision, resume: bool, turn: int = 1, expired: tuple[str, ...] = ()) -> Verdicts:
    return Verdicts(run_id=run_id, step=1, turn=turn, decisions=decisions, expired=expired, resume=resume)


async def turns(store: Stores, run_id: str) -> list[tuple[int, str, int, int | None, str | None]]:
    query = select(TurnRow).where(col(TurnRow.run_id) == run_id).order_by(col(TurnRow.turn))
    async with store.database.session() as session:
        rows = await session.exec(query)
        return [(row.turn, row.turn_id, row.first_seq, row.last_seq, row.stop_reason) for row in rows]


async def statuses(store: Stores, run_id: str) -> dict[str, str]:
    return {row.call_id: row.status for row in await store.approvals.find(run_id=run_id)}


async def test_a_pause_asks_ends_the_turn_and_sets_the_run_waiting(store: Stores) -> None:
    run, message = await waiting(store, "c1", "c2")
    lines = await store.lines(run.run_id)
    assert [type_of(line) for line in lines][-3:] == ["approval.requested", "turn.ended", "run.waiting"]
    row = await store.runs.get(run.run_id)
    assert row is not None
    assert row.status == "waiting"
    assert await turns(store, run.run_id) == [(1, run.run_id, 1, len(lines), "requires_approval")]
    (one, two) = await store.approvals.find(status="pending", run_id=run.run_id)
    assert (one.call_id, one.arguments, one.reason, one.requested_at, one.expires_at) == (
        *("c1", message.calls[0].arguments, "always", at(5), at(600)),
    )
    assert await store.approvals.find(call_id="c2") == [two]


async def test_pausing_twice_gives_the_first_places_and_time(store: Stores) -> None:
    run, message = await waiting(store, "c1")
    head = await store.log.head(run.run_id)
    again = await store.approvals.pause(pause(run.run_id, 1, message), at(50))
    assert (again.stamp.first, again.stamp.at) == ((head or 0) - 2, at(5))
    assert await store.log.head(run.run_id) == head


async def test_the_last_verdict_resumes_the_run_with_a_new_turn(store: Stores) -> None:
    run, _ = await waiting(store, "c1", "c2", "c3")
    edit = Decision(call_id="c1", decision="edit", args={"q": 1}, by="ann")
    first = await store.approvals.record(verdicts(run.run_id, edit, resume=False), at(6))
    assert await statuses(store, run.run_id) == {"c1": "edited", "c2": "pending", "c3": "pending"}
    deny = Decision(call_id="c2", decision="deny", reason="no", by="bob")
    last = await store.approvals.record(verdicts(run.run_id, deny, expired=("c3",), resume=True), at(7))
    assert await statuses(store, run.run_id) == {"c1": "edited", "c2": "denied", "c3": "expired"}
    lines = await store.lines(run.run_id)
    assert [type_of(line) for line in lines][-4:] == [
        *("approval.decided", "approval.decided", "approval.expired", "run.resumed")
    ]
    second_turn = record.turn_id(run.run_id, 2, at(7))
    assert (await turns(store, run.run_id))[1] == (2, second_turn, len(lines), None, None)
    assert (first.stamp.first, last.stamp.first) == (len(lines) - 3, len(lines) - 2)
    row = await store.runs.get(run.run_id)
    assert row is not None
    assert (row.status, row.turn) == ("running", 2)
    decided = (await store.approvals.find(call_id="c1"))[0]
    assert decided.decided_at == at(6)
    assert Decision.model_validate_json(decided.decision or "") == edit


@pytest.mark.parametrize("resume", [True, False])
async def test_recording_twice_gives_the_first_places_and_time(store: Stores, resume: bool) -> None:
    run, _ = await waiting(store, "c1")
    approve = Decision(call_id="c1", decision="approve")
    first = await store.approvals.record(verdicts(run.run_id, approve, resume=resume), at(6))
    head = await store.log.head(run.run_id)
    assert await store.approvals.record(verdicts(run.run_id, approve, resume=resume), at(60)) == first
    assert await store.log.head(run.run_id) == head
    assert len(await turns(store, run.run_id)) == 1 + resume


async def test_an_expiry_that_was_written_stands_against_a_decision_that_comes_later(store: Stores) -> None:
    run, _ = await waiting(store, "c1", "c2")
    expired = verdicts(run.run_id, expired=("c1", "c2"), resume=True)
    written = await store.approvals.record(expired, at(6))
    head = await store.log.head(run.run_id)
    for resume in (False, True):
        late = verdicts(run.run_id, Decision(call_id="c2", decision="approve"), resume=resume)
        assert await store.approvals.record(late, at(7)) == written
    assert written.verdicts == expired
    assert await store.log.head(run.run_id) == head
    assert await statuses(store, run.run_id) == {"c1": "expired", "c2": "expired"}


async def test_a_decision_that_was_written_stands_against_an_expiry_with_all_that_it_says(store: Stores) -> None:
    run, _ = await waiting(store, "c1", "c2", "c~2")
    answer = Decision(call_id="c1", decision="answer", answer="by hand", by="ann", id="d1")
    edit = Decision(call_id="c~2", decision="edit", args={"q": None}, reason="less", by="bob")
    first = await store.approvals.record(verdicts(run.run_id, answer, resume=False), at(6))
    second = await store.approvals.record(verdicts(run.run_id, edit, resume=False), at(7))
    expired = verdicts(run.run_id, expired=("c2", "c1", "c~2"), resume=True)
    assert await store.approvals.record(expired, at(8)) == first
    remaining = expired.model_copy(update={"expired": ("c2", "c~2")})
    assert await store.approvals.record(remaining, at(9)) == second
    third = await store.approvals.record(expired.model_copy(update={"expired": ("c2",)}), at(10))
    assert third.verdicts.expired == ("c2",)
    assert await statuses(store, run.run_id) == {"c1": "answered", "c~2": "edited", "c2": "expired"}


async def test_what_was_written_in_another_turn_is_not_taken_for_this_one(store: Stores) -> None:
    run, message = await waiting(store, "c1")
    approve = verdicts(run.run_id, Decision(call_id="c1", decision="approve"), resume=True)
    await store.approvals.record(approve, at(6))
    for turn in range(2, 12):
        await store.approvals.pause(pause(run.run_id, 1, message, turn=turn), at(turn * 2 + 4))
        deny = Decision(call_id="c1", decision="deny", reason=f"{turn}")
        recorded = await store.approvals.record(verdicts(run.run_id, deny, resume=True, turn=turn), at(turn * 2 + 5))
        assert recorded.verdicts.decisions == (deny,)


async def test_a_decision_without_a_request_is_recorded_all_the_same(store: Stores) -> None:
    run, _ = await waiting(store, "c1")
    early = verdicts(run.run_id, Decision(call_id="c0", decision="answer", answer="42"), resume=False)
    nothing = verdicts(run.run_id, resume=True)
    recorded = [await store.approvals.record(each, at(6)) for each in (early, nothing)]
    assert [await store.approvals.record(each, at(9)) for each in (early, nothing)] == recorded
    assert [type_of(line) for line in await store.lines(run.run_id)][-2:] == ["approval.decided", "run.resumed"]


async def test_a_pause_that_two_processes_write_at_once_is_written_once(database_url: str) -> None:
    stores = [Stores.over(database_url), Stores.over(database_url)]
    for _ in range(10):
        run, message = await stores[0].accept(), calls("c1")
        await stores[0].ask(ModelCall(run_id=run.run_id, step=1), message)
        asks = pause(run.run_id, 1, message)
        first, second = await asyncio.gather(*(store.approvals.pause(asks, at(3)) for store in stores))
        assert first == second
        assert [type_of(line) for line in await stores[0].lines(run.run_id)].count("run.waiting") == 1
    for store in stores:
        await store.database.aclose()


async def test_a_later_turn_pauses_and_may_ask_for_a_call_again(store: Stores) -> None:
    run, message = await waiting(store, "c1")
    await store.approvals.record(verdicts(run.run_id, Decision(call_id="c1", decision="approve"), resume=True), at(6))
    await store.approvals.pause(pause(run.run_id, 1, message, turn=2), at(7))
    assert await statuses(store, run.run_id) == {"c1": "pending"}
    answer = Decision(call_id="c1", decision="answer", answer="no need")
    await store.approvals.record(verdicts(run.run_id, answer, resume=True, turn=2), at(8))
    assert await statuses(store, run.run_id) == {"c1": "answered"}
    found = await turns(store, run.run_id)
    assert [(turn, reason) for turn, _, _, _, reason in found] == [
        *((1, "requires_approval"), (2, "requires_approval"), (3, None))
    ]
    ended = [json.loads(line) for line in await store.lines(run.run_id) if type_of(line) == "turn.ended"]
    assert [(event["turn"], event["turn_id"]) for event in ended] == [
        (turn, turn_id) for turn, turn_id, *_ in found[:2]
    ]


async def test_a_run_that_ends_while_it_waits_closes_its_requests(store: Stores) -> None:
    run, message = await waiting(store, "c1", "c2")
    await store.approvals.record(verdicts(run.run_id, Decision(call_id="c1", decision="approve"), resume=False), at(6))
    await store.runs.finish(finish(run.run_id), at(7))
    assert await statuses(store, run.run_id) == {"c1": "approved", "c2": "cancelled"}
    for turn in (2, 3):
        with pytest.raises(FencedError):
            await store.approvals.pause(pause(run.run_id, 1, message, turn=turn), at(8))
    with pytest.raises(FencedError):
        await store.approvals.record(verdicts(run.run_id, Decision(call_id="c2", decision="deny"), resume=True), at(8))
    assert type_of((await store.lines(run.run_id))[-1]) == "run.completed"
