"""Steps: fenced, streamed, completed once."""

import pytest

from longrun.store.log import FencedError, LostRunError
from longrun.workflows.contract.events import type_of
from longrun.workflows.contract.messages import OpaquePart, ReasoningPart, TextPart, ToolCallPart, Usage
from longrun.workflows.contract.requests import ModelCall
from longrun.workflows.contract.results import ModelReply, Span, Superseded
from longrun.workflows.contract.runs import Said
from tests.build import START, Stores, answer, at, calls, draft, finish, order, says


async def test_a_step_streams_its_message_and_keeps_it(store: Stores) -> None:
    run = await store.accept()
    call = ModelCall(run_id=run.run_id, step=1)
    reply = await store.ask(call, says("hello there"))
    types = [type_of(line) for line in await store.lines(run.run_id)]
    assert types == [
        *("run.accepted", "step.started", "text.delta", "text.delta", "text.delta"),
        *("text.completed", "message.completed"),
    ]
    assert [seq for span in reply.spans for seq in range(span.first, span.last + 1)] == [3, 4, 5, 6, 7]
    assert await store.messages_of(run.run_id) == [run.input, reply.message]
    row = await store.runs.get(run.run_id)
    assert row is not None
    assert (row.status, row.step, row.dispatched, row.started_at) == ("running", 1, True, START)


async def test_a_retry_after_the_commit_gets_the_committed_reply(store: Stores) -> None:
    run = await store.accept()
    call = ModelCall(run_id=run.run_id, step=1, said=(Said(text="and this", by="ann", id="s1"),))
    opaque: dict[str, object] = {"signature": "x" * 10, "n": [1, None, {"deep": True}]}
    message = answer(
        ReasoningPart.model_validate({"text": "thinking \u2028 hard", "opaque": opaque}),
        TextPart(text="so\nit is", refusal=True),
        OpaquePart.model_validate({"opaque": opaque}),
        ToolCallPart(call_id="c1", name="search", arguments='{"q": "\u00e9"}'),
        ToolCallPart(call_id="c2", name="search", arguments='{"q', cut=True),
    )
    await store.babble(call, await store.begin(call), ["lost"])
    reply = await store.ask(call, message, at(2))
    head = await store.log.head(run.run_id)
    again = await store.begin(call, at(60))
    assert again.reply == reply
    assert ModelReply.model_validate_json(reply.model_dump_json()) == again.reply
    assert again.notices == reply.notices
    assert again.opened == reply.opened
    assert await store.log.head(run.run_id) == head


async def test_what_is_said_before_a_step_stands_before_its_answer(store: Stores) -> None:
    run = await store.accept()
    call = ModelCall(run_id=run.run_id, step=1, said=(Said(text="one"), Said(text="two")))
    reply = await store.ask(call, calls("c1"))
    messages = await store.messages_of(run.run_id)
    assert [message.text for message in messages[:3]] == ["hello", "one", "two"]
    assert messages[3] == reply.message
    assert [type_of(line) for line in await store.lines(run.run_id)][1:4] == [
        *("message.received", "message.received", "step.started")
    ]


async def test_an_attempt_that_wrote_nothing_leaves_no_notice(store: Stores) -> None:
    run = await store.accept()
    call = ModelCall(run_id=run.run_id, step=1)
    await store.begin(call)
    second = await store.begin(call)
    assert (second.number, second.notices) == (2, ())
    assert await store.log.head(run.run_id) == 2


async def test_each_lost_attempt_has_its_notice_with_its_own_range(store: Stores) -> None:
    run = await store.accept()
    call = ModelCall(run_id=run.run_id, step=1)
    await store.babble(call, await store.begin(call), ["a", "b"])
    await store.babble(call, await store.begin(call, at(1)), ["c"])
    reply = await store.stream(call, await store.begin(call, at(2)), says("d"))
    notices = [notice for notice in reply.notices if isinstance(notice, Superseded)]
    assert [(notice.attempt, notice.first, notice.last, notice.stamp.first) for notice in notices] == [
        *((1, 3, 4, 5), (2, 6, 6, 7))
    ]
    assert [notice.stamp.at for notice in reply.notices] == [at(1), at(2)]
    assert (await store.begin(call)).reply == reply


async def test_an_attempt_that_was_overtaken_can_neither_write_nor_complete(store: Stores) -> None:
    run = await store.accept()
    call = ModelCall(run_id=run.run_id, step=1)
    old, new = await store.begin(call), await store.begin(call)
    with pytest.raises(FencedError):
        await store.stream(call, old, says("old"))
    await store.stream(call, new, says("new"))
    with pytest.raises(FencedError):
        await store.stream(call, new, says("twice"))
    assert [m.text for m in await store.messages_of(run.run_id)] == ["hello", "new"]
    assert b"old" not in b"".join(await store.lines(run.run_id))


async def test_a_completion_that_fails_half_way_leaves_nothing(store: Stores) -> None:
    run = await store.accept()
    call = ModelCall(run_id=run.run_id, step=1)
    attempt = await store.begin(call)

    def seal(last: Span) -> ModelReply:
        raise LookupError(f"after {last.first}")

    reply = draft(attempt, says("x"))
    with pytest.raises(LookupError):
        await store.steps.complete(attempt, [], seal, reply)
    assert await store.log.head(run.run_id) == 2
    assert await store.stream(call, attempt, says("y"))


async def test_an_ended_run_begins_no_step(store: Stores) -> None:
    run = await store.accept()
    call = ModelCall(run_id=run.run_id, step=1)
    await store.babble(call, await store.begin(call), ["open"])
    await store.runs.finish(finish(run.run_id), START)
    for step in (1, 2):
        with pytest.raises(FencedError, match="has ended"):
            await store.begin(ModelCall(run_id=run.run_id, step=step))
    with pytest.raises(LostRunError, match="no run"):
        await store.begin(ModelCall(run_id="nobody", step=1))
    assert type_of((await store.lines(run.run_id))[-1]) == "run.completed"


async def test_what_a_lost_attempt_was_asked_with_is_guessed_if_nobody_ever_says_it(store: Stores) -> None:
    run = await store.accept(order(text="word " * 40))
    call = ModelCall(run_id=run.run_id, step=1)
    await store.begin(call)
    again = await store.begin(call)
    cut = draft(again, says("half a")).model_copy(update={"usage": Usage(), "finish_reason": "cancelled"})
    reply = await store.steps.complete(again, [], lambda last: cut.model_copy(update={"spans": (last,)}), cut)
    lost, cancelled = reply.attempts
    assert (lost.outcome, lost.estimated, cancelled.estimated) == ("lost", True, True)
    assert 50 < (lost.tokens_in or 0) < 150
    assert (cancelled.tokens_in, cancelled.tokens_out) == (lost.tokens_in, 2)
