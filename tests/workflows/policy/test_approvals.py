"""Which calls wait for a person."""

import pytest

from longrun.workflows.contract.agents import Approval, ArgumentRule
from longrun.workflows.policy import approvals
from tests.workflows.policy.replies import ALWAYS, MALFORMED, NEVER, call, plan, reply, spec


def test_a_person_is_asked_with_the_reason() -> None:
    rules = (ArgumentRule(argument="to", value="^bank"), ArgumentRule(argument="n", operator="greater", value=5))
    when = Approval(mode="when", rules=rules)
    assert approvals.reason_to_ask(call(arguments='{"to":"bank","n":9}'), when) == "to matches ^bank"
    assert approvals.reason_to_ask(call(arguments='{"n":9}'), when) == "n greater 5"
    assert approvals.reason_to_ask(call(arguments='{"n":1}'), when) is None
    assert approvals.reason_to_ask(call(), ALWAYS) == "pay always asks"
    assert approvals.reason_to_ask(call(arguments=" "), ALWAYS) == "pay always asks"
    assert approvals.reason_to_ask(call(), NEVER) is None


@pytest.mark.parametrize("arguments", MALFORMED)
def test_nobody_is_asked_about_a_call_that_cannot_be_read(arguments: str) -> None:
    given = reply(call(arguments=arguments), plans={"pay": plan(ALWAYS)})
    assert approvals.pending(spec("pay"), given, 1) == ()


def test_the_agents_rule_goes_over_the_tools_default() -> None:
    agent = spec({"name": "pay", "approval": "never"}, "look")
    assert approvals.approval_rule(agent, plan(ALWAYS), "pay") == NEVER
    assert approvals.approval_rule(agent, plan(ALWAYS), "look") == ALWAYS


def test_only_calls_that_could_run_wait_for_a_person() -> None:
    calls = [call("pay", call_id="a"), call("look", call_id="b"), call("fly", call_id="c"), call("owe", call_id="d")]
    plans = {"pay": plan(ALWAYS), "look": plan(), "owe": plan(ALWAYS)}
    waiting = approvals.pending(spec("pay", "look"), reply(*calls, plans=plans), 3)
    assert [(pending.call_id, pending.step) for pending in waiting] == [("a", 3)]
