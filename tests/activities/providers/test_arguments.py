"""Arguments on their way back to a provider: what a model wrote, if that is an object, and else a word about it."""

import json

import pytest

from longrun.activities.providers.arguments import INVALID, argument_object, argument_text, is_object


@pytest.mark.parametrize("written", ['{"a": 1}', '{ "a" : [1,2] }', "{}"])
def test_an_object_goes_back_byte_for_byte(written: str) -> None:
    assert argument_text(written) == written
    assert argument_object(written) == json.loads(written)
    assert is_object(written)


@pytest.mark.parametrize("written", ['{"a": ', "[1]", '"a"', "null", '{"a": NaN}', '{"a": -Infinity}', "plain words"])
def test_what_is_no_object_goes_back_as_what_could_not_be_read(written: str) -> None:
    assert argument_object(written) == {INVALID: written}
    assert json.loads(argument_text(written)) == {INVALID: written}
    assert not is_object(written)


def test_no_arguments_are_an_empty_object_and_not_a_whole_one() -> None:
    assert (argument_text(""), argument_object(""), is_object("")) == ("{}", {}, False)
