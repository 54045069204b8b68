"""The arguments of a call: whether they can be read, and whether a rule applies to them."""

import json
from collections.abc import Mapping

from pydantic import JsonValue

from longrun.workflows.contract.agents import ArgumentRule
from longrun.workflows.contract.expressions import matches


def parse(arguments: str) -> Mapping[str, JsonValue]:
    """Read arguments more strictly than any tool does: no rule may be got round by malformed JSON.

    Raises:
        ValueError: They are not a JSON object.
    """
    try:
        value: JsonValue = json.loads(arguments.strip() or "{}", parse_constant=_not_json)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("it is a JSON value of another kind")  # noqa: TRY004 - to the model it is a wrong value
    return value


def holds(rule: ArgumentRule, arguments: Mapping[str, JsonValue]) -> bool:
    """Whether a rule applies to a call's arguments. A missing argument matches no rule but ``not_equals``."""
    if rule.argument not in arguments:
        return rule.operator == "not_equals"
    value = arguments[rule.argument]
    if rule.operator in ("equals", "not_equals"):
        return _equal(value, rule.value) == (rule.operator == "equals")
    if rule.operator == "matches":
        return matches(as_text(rule.value), as_text(value))
    if rule.operator == "contains":
        return as_text(rule.value) in as_text(value)
    return _compares(rule, value)


def as_text(value: JsonValue) -> str:
    """A value as a rule reads it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _not_json(name: str) -> JsonValue:
    raise ValueError(f"{name} is not a number of JSON")


def _equal(value: JsonValue, wanted: JsonValue) -> bool:
    """Equal, or with the same text: a tool takes "5" for 5."""
    return value == wanted or as_text(value) == as_text(wanted)


def _compares(rule: ArgumentRule, value: JsonValue) -> bool:
    if isinstance(value, int | float) and isinstance(rule.value, int | float):
        return value > rule.value if rule.operator == "greater" else value < rule.value
    return True  # what cannot be compared is for a person to look at
