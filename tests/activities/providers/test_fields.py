"""Whatever JSON a host sends, a field has its type afterwards, or is named."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longrun.activities.providers.fields import (
    FieldError,
    json_text,
    list_of,
    name,
    number,
    object_of,
    optional,
    parsed,
    text,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_a_field_has_its_type(value: Any) -> None:  # noqa: ANN401 - any JSON value
    assert isinstance(text(value, "x"), str)
    assert isinstance(json_text(value, "x"), str)
    assert isinstance(number(value, "x"), int | None)
    if isinstance(value, list | dict):
        with pytest.raises(FieldError, match=r"x is an? (list|object) instead of a text"):
            name(value, "x")
    else:
        assert isinstance(name(value, "x"), str)


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        (text, None, ""),
        (text, ["a", {"type": "text", "text": "b"}, 5], "ab5"),
        (json_text, {"a": 1}, '{"a": 1}'),
        (json_text, "", ""),
        (name, 5, "5"),
        (number, "12", 12),
        (number, [0], None),
        (number, float("nan"), None),
        (list_of(name), None, []),
        (list_of(name), "a", ["a"]),
        (optional(name), None, None),
        (object_of(a=name), None, {}),
        (object_of(a=name), [{"a": 1, "b": [2]}], {"a": "1", "b": [2]}),
    ],
)
def test_what_hosts_send_is_made_what_the_wire_says(field: Any, value: Any, read: Any) -> None:  # noqa: ANN401 - as above
    assert field(value, "x") == read


UNREADABLE: list[tuple[Any, Any, str]] = [
    (object_of(a=list_of(object_of(b=name))), {"a": [{"b": "x"}, {"b": {}}]}, "a[1].b is an object instead of a text"),
    (object_of(), [1, 2], "x is a list instead of an object"),
    (object_of(), 5, "x is the int 5 instead of an object"),
]


@pytest.mark.parametrize(("field", "value", "named"), UNREADABLE)
def test_what_cannot_be_read_is_named(field: Any, value: Any, named: str) -> None:  # noqa: ANN401 - as above
    with pytest.raises(FieldError) as wrong:
        field(value, "" if named.startswith("a[") else "x")
    assert str(wrong.value) == named


@pytest.mark.parametrize("body", ["{", "[" * 100_000])
def test_what_is_no_json_is_shown_in_short(body: str) -> None:
    with pytest.raises(FieldError, match="is not JSON") as wrong:
        parsed(body)
    assert len(str(wrong.value)) < 300
