"""Rules on the arguments of a call."""

import pytest
from pydantic import JsonValue

from longrun.activities import argument_rules
from longrun.workflows.contract.agents import ArgumentRule, Operator

MALFORMED = ["{", "[]", "null", "5", '{"a":NaN}', '{"a":-Infinity}', "[" * 50_000, '{"a":' * 50_000, "not json"]
"""Arguments that are not a JSON object."""
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
    assert argument_rules.holds(rule, {"a": given, "b": wanted}) is holds


@pytest.mark.parametrize("operator", ["equals", "not_equals", "matches", "contains", "greater", "less"])
def test_a_missing_argument_only_differs(operator: Operator) -> None:
    rule = ArgumentRule(argument="a", operator=operator, value="x")
    assert argument_rules.holds(rule, {"b": "x"}) is (operator == "not_equals")


@pytest.mark.parametrize("text", MALFORMED)
def test_only_a_json_object_can_be_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a number of JSON|nested|another kind|Expecting"):
        argument_rules.parse(text)
    assert argument_rules.parse(" ") == {}


@pytest.mark.parametrize("expression", ["^(a+)+$", r"^([\w.-]+)+@example\.com$"])
def test_an_expression_takes_time_that_grows_with_the_text_alone(expression: str) -> None:
    rule = ArgumentRule(argument="a", value=expression)
    assert not argument_rules.holds(rule, {"a": "a" * 100_000 + "!"})  # centuries, by going back and forth


@pytest.mark.parametrize("expression", ["(", "a{2000}", r"(x)\1", "(?<=a)b", "[b-a]"])
def test_what_is_no_expression_is_refused_with_the_reason(expression: str) -> None:
    with pytest.raises(ValueError, match="value is not a regular expression of RE2: "):
        ArgumentRule(argument="a", value=expression)
