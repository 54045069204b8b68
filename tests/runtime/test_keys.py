"""Keys as a setting says them."""

import pytest
from pydantic import ValidationError

from longrun.runtime.keys import Key, first_key, parse_keys
from longrun.runtime.settings import Settings


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", ()),
        (" , ", ()),
        ("k1", (Key("k1"),)),
        ("ann:k1, bob@x.org:k2,", (Key("k1", "ann"), Key("k2", "bob@x.org"))),
        ("ann:k1,ann:k2,k3", (Key("k1", "ann"), Key("k2", "ann"), Key("k3"))),
        ("aGk+/=-_.~!", (Key("aGk+/=-_.~!"),)),
    ],
)
def test_keys_are_one_or_several_with_names(text: str, keys: tuple[Key, ...]) -> None:
    assert parse_keys(text) == keys
    assert first_key(text) == (keys[0].secret if keys else None)


@pytest.mark.parametrize(
    "text", ["ann:", ":s3cret", "a b:s3cret", "s3 cret", "s3crét", "a:b:s3cret", "s3cret,ann:s3cret"]
)
def test_what_is_no_list_of_keys_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"api_key": text})
    assert refused.value.errors()[0]["loc"] == ("api_key",)
    assert "has " in str(refused.value)
    assert "cret" not in str(refused.value)
    assert "cret" not in refused.value.errors()[0]["msg"]


def test_a_setting_does_not_show_its_key() -> None:
    assert "s3cret" not in repr(Settings.model_validate({"api_key": "ann:s3cret"}).model_dump())


@pytest.mark.parametrize(
    ("setting", "loose"),
    [
        ("", []),
        ("run_python", ["run_python"]),
        (" run_python , pay ", ["run_python", "pay"]),
        ("*", ["run_python", "pay"]),
    ],
)
def test_an_operator_names_the_tools_that_callers_may_let_run_unasked(setting: str, loose: list[str]) -> None:
    settings = Settings.model_validate({"unasked_tools": setting})
    assert [tool for tool in ("run_python", "pay") if settings.may_loosen(tool)] == loose
