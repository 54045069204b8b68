"""Rules on the arguments of a call."""

import pytest
from pydantic import JsonValue

from longrun.workflows.contract.agents import ArgumentRule, Operator
from longrun.workflows.policy import arguments
from tests.workflows.policy.replies import MALFORMED

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
    assert arguments.holds(rule, {"a": given, "b": wanted}) is holds


@pytest.mark.parametrize("operator", ["equals", "not_equals", "matches", "contains", "greater", "less"])
def test_a_missing_argument_only_differs(operator: Operator) -> None:
    rule = ArgumentRule(argument="a", operator=operator, value="x")
    assert arguments.holds(rule, {"b": "x"}) is (operator == "not_equals")


@pytest.mark.parametrize("text", MALFORMED)
def test_only_a_json_object_can_be_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a number of JSON|nested|another kind|Expecting"):
        arguments.parse(text)
    assert arguments.parse(" ") == {}
