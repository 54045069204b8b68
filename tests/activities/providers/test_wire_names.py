"""An id or a name that a host takes, the same one each time, and never one for two."""

import re

from hypothesis import given
from hypothesis import strategies as st

from longrun.activities.providers.wire_names import LONGEST_NAME, CallIds, tool_name
from longrun.workflows.contract.messages import Message, ToolCallPart

SAFE = re.compile(r"[A-Za-z0-9_-]+")
IDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=100)


def called(*call_ids: str, provider: str = "host/model") -> Message:
    """A message with these calls."""
    parts = tuple(ToolCallPart(call_id=call_id, name="look", arguments="{}") for call_id in call_ids)
    return Message(id="m", role="assistant", parts=parts, provider=provider)


@given(st.lists(IDS, unique=True, max_size=10))
def test_ids_of_another_model_are_fitting_and_stay_apart(call_ids: list[str]) -> None:
    for longest in (40, 64):
        ids = CallIds([called(*call_ids)], "other/model", longest=longest)
        fitted = [ids[call_id] for call_id in call_ids]
        assert all(SAFE.fullmatch(each) and len(each) <= longest for each in fitted)
        assert len(set(fitted)) == len(call_ids)
        assert fitted == [CallIds([], "third/model", longest=longest)[call_id] for call_id in call_ids]


def test_a_fitting_id_stays_and_a_hosts_own_goes_back_to_it() -> None:
    odd = "call/1" + "x" * 100
    ids = CallIds([called(odd, "call_1")], "host/model", longest=40)
    assert (ids[odd], ids["call_1"]) == (odd, "call_1")
    assert CallIds([called(odd)], "host/model", longest=40, safe=True)[odd] != odd


@given(st.lists(IDS, unique=True, max_size=10))
def test_names_are_in_every_hosts_letters(names: list[str]) -> None:
    fitted = [tool_name(name) for name in names]
    assert all(SAFE.fullmatch(each) and len(each) <= LONGEST_NAME for each in fitted)
    assert len(set(fitted)) == len(names)
    assert tool_name("write_file") == "write_file"
    assert tool_name("") == "unnamed"
