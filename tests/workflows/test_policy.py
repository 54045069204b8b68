"""The rules of a run."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from longrun.workflows import policy
from longrun.workflows.contract.agents import AgentSpec, Approval, ArgumentRule, Operator
from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.messages import FinishReason, Message, Part, TextPart, ToolCallPart, Usage
from longrun.workflows.contract.runs import Cancel, Decision, Limits, Outcome, RunState, Said, Snapshot, Verdict
from longrun.workflows.contract.steps import ModelReply, Stamp, StepBegin, ToolCall, ToolPlan
from longrun.workflows.inbox import Inbox
from tests.build import START, order

ALWAYS, NEVER = Approval(mode="always"), Approval(mode="never")


def asks(name: str = "pay", arguments: str = "{}", call_id: str = "c1") -> ToolCallPart:
    """A call."""
    return ToolCallPart(call_id=call_id, name=name, arguments=arguments)


def reply(*parts: Part, finish: FinishReason = "stop", plans: dict[str, ToolPlan] | None = None) -> ModelReply:
    """A message with what the run must know of it."""
    return ModelReply(
        message=Message(id="m", role="assistant", parts=parts),
        finish_reason=finish,
        usage=Usage(),
        attempt=1,
        begin=StepBegin(stamp=Stamp(first=2, at=START), model="scripted/x"),
        attempt_at=START,
        marks=(),
        spans=(),
        completed_at=START,
        plans=plans or {},
    )


def plan(approval: Approval = NEVER) -> ToolPlan:
    """A tool's plan."""
    return ToolPlan(effect="read", approval=approval, timeout=1)


def spec(*tools: object) -> AgentSpec:
    """An agent with these tools."""
    return AgentSpec.model_validate({"name": "a", "model": "scripted/x", "tools": tools})


def test_a_run_may_ask_as_often_as_its_limit_says() -> None:
    limits = Limits(max_steps=2)
    assert policy.limit_reached(limits, 1) is None
    assert policy.limit_reached(limits, 2) == Outcome(status="completed", stop_reason="max_steps")


@pytest.mark.parametrize(("gone", "left"), [(0, 10), (4, 6), (9.999, 0), (10, 0), (99, 0)])
def test_the_time_left_is_never_negative_and_never_too_short_for_a_timer(gone: float, left: float) -> None:
    now = START + timedelta(seconds=gone)
    assert policy.seconds_left(Limits(deadline=10), START, now) == left


def test_without_a_deadline_there_is_no_time_left_to_count() -> None:
    assert policy.seconds_left(Limits(), START, datetime.now(UTC)) is None


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (reply(TextPart(text="hi")), "end_turn"),
        (reply(), "end_turn"),
        (reply(TextPart(text="hi"), finish="length"), "end_turn"),
        (reply(TextPart(text="hi"), finish="pause"), None),
        (reply(asks(), finish="tool_calls"), None),
        (reply(asks(), finish="stop"), None),
        (reply(asks().model_copy(update={"cut": True})), "end_turn"),
        (reply(asks(), finish="overflow"), "context_overflow"),
    ],
)
def test_a_message_without_calls_ends_the_run(given: ModelReply, reason: str | None) -> None:
    outcome = policy.after_reply(given)
    assert (outcome.stop_reason if outcome else None) == reason


@pytest.mark.parametrize(
    ("error_type", "reason"),
    [
        ("llm_api_error", "llm_api_error"),
        ("context_overflow", "context_overflow"),
        ("invalid_llm_response", "invalid_llm_response"),
        ("StoreUnavailableError", "error"),
        (None, "error"),
    ],
)
def test_a_failure_has_a_stop_reason(error_type: str | None, reason: str) -> None:
    outcome = policy.failure(error_type, "why")
    assert (outcome.status, outcome.stop_reason) == ("failed", reason)
    assert outcome.error == ErrorInfo(type=error_type or "error", message="why")


RULES: list[tuple[Operator, JsonValue, JsonValue, bool]] = [
    ("equals", "prod", "prod", True),
    ("equals", "prod", "test", False),
    ("equals", 5, "5", True),
    ("equals", "5", 5, True),
    ("equals", None, None, True),
    ("equals", None, "x", False),
    ("equals", True, "true", True),
    ("not_equals", "prod", "test", True),
    ("not_equals", "prod", "prod", False),
    ("matches", "^/etc", "/etc/passwd", True),
    ("matches", "^/etc", "a/etc", False),
    ("matches", r"\d", 7, True),
    ("matches", "b", ["a", "b"], True),
    ("contains", "rm", "rm -rf", True),
    ("contains", "rm", "ls", False),
    ("contains", 7, [1, 7], True),
    ("greater", 10, 11, True),
    ("greater", 10, 10, False),
    ("greater", 10, "eleven", True),
    ("greater", 10, "3", True),
    ("greater", "many", 3, True),
    ("less", 10, 9.5, True),
    ("less", 10, 10, False),
    ("less", 10, None, True),
]


@pytest.mark.parametrize(("operator", "wanted", "given", "holds"), RULES)
def test_a_rule_looks_at_one_argument(operator: Operator, wanted: JsonValue, given: JsonValue, holds: bool) -> None:
    rule = ArgumentRule(argument="a", operator=operator, value=wanted)
    assert policy.holds(rule, {"a": given, "b": wanted}) is holds


@pytest.mark.parametrize("operator", ["equals", "not_equals", "matches", "contains", "greater", "less"])
def test_a_missing_argument_only_differs(operator: Operator) -> None:
    rule = ArgumentRule(argument="a", operator=operator, value="x")
    assert policy.holds(rule, {"b": "x"}) is (operator == "not_equals")


def test_a_person_is_asked_with_the_reason() -> None:
    rules = (ArgumentRule(argument="to", value="^bank"), ArgumentRule(argument="n", operator="greater", value=5))
    when = Approval(mode="when", rules=rules)
    assert policy.why_ask(asks(arguments='{"to":"bank","n":9}'), when) == "to matches ^bank"
    assert policy.why_ask(asks(arguments='{"n":9}'), when) == "n greater 5"
    assert policy.why_ask(asks(arguments='{"n":1}'), when) is None
    assert policy.why_ask(asks(), ALWAYS) == "pay always asks"
    assert policy.why_ask(asks(arguments=" "), ALWAYS) == "pay always asks"
    assert policy.why_ask(asks(), NEVER) is None


UNREADABLE = ["{", "[]", "null", "5", '{"a":NaN}', '{"a":-Infinity}', "[" * 50_000, '{"a":' * 50_000, "not json"]


@pytest.mark.parametrize("arguments", UNREADABLE)
def test_nobody_is_asked_about_a_call_that_cannot_be_read_and_it_is_not_run(arguments: str) -> None:
    call = asks(arguments=arguments)
    given = reply(call, plans={"pay": plan(ALWAYS)})
    run = order(spec=spec("pay"))
    assert policy.gated(run.agent, given, 1) == ()
    answers, approved = policy.settled(run, 1, given, {}, frozenset())
    assert approved == []
    assert [answer.status for answer in answers] == ["error"]
    assert answers[0].content.startswith(policy.UNREADABLE)


def test_a_reviewer_may_mend_a_call_that_cannot_be_read() -> None:
    given = reply(asks(arguments="{"), plans={"pay": plan()})
    run = order(spec=spec("pay"))
    mended = Decision(call_id="c1", decision="edit", args={"a": 1})
    answers, approved = policy.settled(run, 1, given, {"c1": mended}, frozenset())
    assert answers == []
    assert approved == [ToolCall(run_id=run.run_id, step=1, call_id="c1", name="pay", args={"a": 1})]


def test_the_agents_word_goes_over_the_tools_default() -> None:
    agent = spec({"name": "pay", "approval": "never"}, "look")
    assert policy.approval_of(agent, plan(ALWAYS), "pay") == NEVER
    assert policy.approval_of(agent, plan(ALWAYS), "look") == ALWAYS
    assert policy.may_call(agent, "pay")
    assert not policy.may_call(agent, "fly")


def test_only_calls_that_could_run_wait_for_a_person() -> None:
    calls = [asks("pay", call_id="a"), asks("look", call_id="b"), asks("fly", call_id="c"), asks("owe", call_id="d")]
    plans = {"pay": plan(ALWAYS), "look": plan(), "owe": plan(ALWAYS)}
    waiting = policy.gated(spec("pay", "look"), reply(*calls, plans=plans), 3)
    assert [(call.call_id, call.step) for call in waiting] == [("a", 3)]


@given(verdict=st.sampled_from((None, "approve", "deny", "edit", "answer")), known=st.booleans(), expired=st.booleans())
def test_each_call_is_either_answered_or_run(verdict: Verdict | None, *, known: bool, expired: bool) -> None:
    decision = Decision(call_id="c1", decision=verdict, args={"a": 1}) if verdict else None
    given = reply(asks(), plans={"pay": plan()} if known else {})
    answers, approved = policy.settled(
        order(spec=spec("pay")), 1, given, {"c1": decision}, frozenset({"c1"} if expired else ())
    )
    assert len(answers) + len(approved) == 1
    runs = known and not expired and verdict in (None, "approve", "edit")
    assert bool(approved) is runs
    if runs:
        assert approved[0].args == ({"a": 1} if verdict == "edit" else None)


def test_a_tool_that_failed_for_good_answers_its_call() -> None:
    call = ToolCall(run_id="r", step=1, call_id="c1", name="pay")
    assert policy.tool_failed(call, policy.failure("tool_error", "gone")).content == "The tool failed: gone"
    bare = Outcome(status="failed", stop_reason="error")
    assert policy.tool_failed(call, bare).content == "The tool failed: error"


def test_a_continuation_carries_everything_but_texts() -> None:
    run = order(spec=spec({"name": "pay", "approval": "always"}))
    run = run.model_copy(update={"agent": run.agent.model_copy(update={"system": "long " * 99})})
    inbox = Inbox((), (), ())
    inbox.decide(Decision(call_id="c9", decision="approve"))
    inbox.say(Said(text="hi", id="s1"))
    now = Snapshot(run_id=run.run_id, phase="tools", step=7, turn=3, usage=Usage(input_tokens=9))
    state = policy.carried(now, RunState(order=run), inbox, START)
    assert (state.step, state.turn, state.usage, state.began) == (7, 3, now.usage, START)
    assert [decision.call_id for decision in state.decisions] == ["c9"]
    assert [said.text for said in state.heard] == ["hi"]
    assert state.heard_ids == ("s1",)
    assert (state.order.agent.tools, state.order.limits) == (run.agent.tools, run.limits)
    assert (state.order.agent.system, state.order.input.parts, state.order.metadata) == ("", (), {})


def test_a_cancel_is_final() -> None:
    outcome = policy.cancelled(Cancel(by="ann"))
    assert (outcome.status, outcome.stop_reason) == ("cancelled", "cancelled")
