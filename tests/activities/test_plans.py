"""What becomes of the calls of a message."""

import pytest

from longrun import tool
from longrun.activities.plans import UNREADABLE, plans, reason_to_ask
from longrun.activities.toolbox.registry import Toolbox
from longrun.activities.toolbox.tool import ToolContext
from longrun.workflows.contract.agents import Approval, ArgumentRule
from longrun.workflows.contract.messages import Message, ToolCallPart
from longrun.workflows.contract.requests import CallPlan
from tests.activities.test_argument_rules import MALFORMED
from tests.workflows.policy.replies import spec

ALWAYS, NEVER = Approval(mode="always"), Approval(mode="never")


def when(*rules: ArgumentRule) -> Approval:
    """Ask when one of these holds."""
    return Approval(mode="when", rules=rules)


@tool(effect="write", approval=when(ArgumentRule(argument="amount", operator="greater", value=1000)), timeout=7)
async def pay(context: ToolContext, amount: int, to: str = "bank") -> str:
    """Pay."""
    return f"{amount} to {to}"


@tool(approval="always")
async def ask(context: ToolContext) -> str:
    """Ask."""
    return ""


def planned(name: str, arguments: str, *tools: object, loose: bool = False) -> CallPlan | None:
    """The plan of one call."""
    message = Message(id="m", role="assistant", parts=(ToolCallPart(call_id="c1", name=name, arguments=arguments),))
    return plans(Toolbox([pay, ask]), spec(*(tools or ("pay", "ask"))), message, lambda _: loose).get("c1")


def test_only_a_tool_that_there_is_and_that_the_agent_may_use_has_a_plan() -> None:
    assert planned("pay", '{"amount":1}') == CallPlan(timeout=7)
    assert planned("pay", '{"amount":1}', "ask") is None
    assert planned("fly", "{}", "fly") is None


@pytest.mark.parametrize("arguments", MALFORMED)
def test_nobody_is_asked_about_a_call_that_cannot_be_read(arguments: str) -> None:
    found = planned("ask", arguments)
    assert found is not None
    assert found.ask is None
    assert found.refusal is not None
    assert found.refusal.startswith(UNREADABLE)


def test_nobody_is_asked_about_a_call_that_the_tool_would_refuse() -> None:
    found = planned("pay", '{"amount":"lots"}', {"name": "pay", "approval": "always"})
    assert found is not None
    assert (found.ask, "amount" in (found.refusal or "")) == (None, True)


@pytest.mark.parametrize("amount", ['"5_000"', '"5000"', "5000", "5e3"])
def test_rules_look_at_what_the_tool_gets(amount: str) -> None:
    found = planned("pay", f'{{"amount":{amount}}}')
    assert found == CallPlan(timeout=7, ask="amount greater 1000")


def test_rules_look_at_defaults_too() -> None:
    own = {"name": "pay", "approval": {"when": [{"argument": "to", "operator": "equals", "value": "bank"}]}}
    found = planned("pay", '{"amount":1}', own)
    assert found == CallPlan(timeout=7, ask="to equals bank")


def test_an_agent_may_ask_more_often_than_the_tool_but_not_less() -> None:
    loose = planned("pay", '{"amount":5000}', {"name": "pay", "approval": "never"})
    assert loose == CallPlan(timeout=7, ask="amount greater 1000")
    strict = planned("pay", '{"amount":1}', {"name": "pay", "approval": "always"})
    assert strict == CallPlan(timeout=7, ask="pay always asks")


def test_an_agent_may_ask_less_where_the_operator_lets_it() -> None:
    loose = planned("pay", '{"amount":5000}', {"name": "pay", "approval": "never"}, loose=True)
    assert loose == CallPlan(timeout=7)
    assert planned("ask", "{}", "ask", loose=True) == CallPlan(timeout=60, ask="ask always asks")


def test_a_person_is_asked_with_the_first_reason() -> None:
    rules = when(ArgumentRule(argument="to", value="^bank"), ArgumentRule(argument="n", operator="greater", value=5))
    assert reason_to_ask("pay", {"to": "bank", "n": 9}, NEVER, rules) == "to matches ^bank"
    assert reason_to_ask("pay", {"n": 9}, rules) == "n greater 5"
    assert reason_to_ask("pay", {"n": 1}, rules) is None
    assert reason_to_ask("pay", {}, NEVER) is None


def test_what_cannot_be_decided_is_for_a_person() -> None:
    broken = ArgumentRule.model_construct(argument="to", operator="matches", value="(")
    reason = reason_to_ask("pay", {"to": "x"}, Approval.model_construct(mode="when", rules=(broken,)))
    assert reason == "to matches (: cannot be decided (ValueError)"
