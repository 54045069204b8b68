"""What a run hands to its next execution."""

from datetime import timedelta

from longrun.workflows.contract.messages import Usage
from longrun.workflows.contract.runs import Decision, RunState, Said
from longrun.workflows.policy import continuation
from longrun.workflows.run import Run
from tests.build import START, order
from tests.workflows.policy.replies import spec


def test_a_history_is_continued_before_temporal_warns() -> None:
    assert not continuation.is_due(continuation.LONGEST_HISTORY - 1)
    assert continuation.is_due(continuation.LONGEST_HISTORY)


def test_a_continuation_carries_everything_but_texts() -> None:
    given = order(spec=spec({"name": "pay", "approval": "always"}))
    given = given.model_copy(update={"agent": given.agent.model_copy(update={"system": "long " * 99})})
    run = Run.started(RunState(order=given), START)
    run.inbox.decide(Decision(call_id="c9", decision="approve"))
    run.inbox.say(Said(text="hi", id="s1"))
    run.step, run.turn, run.usage = 7, 3, Usage(input_tokens=9)
    state = continuation.carried(run)
    assert (state.step, state.turn, state.usage, state.started_at) == (7, 3, run.usage, START)
    assert [decision.call_id for decision in state.decisions] == ["c9"]
    assert [said.text for said in state.messages] == ["hi"]
    assert state.message_ids == ("s1",)
    assert (state.order.agent.tools, state.order.limits) == (given.agent.tools, given.limits)
    assert (state.order.agent.system, state.order.input.parts, state.order.metadata) == ("", (), {})


def test_the_next_execution_goes_on_where_the_one_before_ended() -> None:
    run = Run.started(RunState(order=order()), START)
    run.step, run.acknowledged = 7, 7
    run.inbox.say(Said(text="hi", id="s1"))
    following = Run.started(continuation.carried(run), START + timedelta(hours=1))
    following.inbox.say(Said(text="hi", id="s1"))
    assert continuation.carried(following) == continuation.carried(run)
    assert (following.started_at, following.acknowledged) == (START, 7)
