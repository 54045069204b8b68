"""Whatever the pieces and the line ends, a body has the same events."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longrun.activities.providers import sse
from longrun.activities.providers.sse import Decoder, ServerSentEvent, TooLongError

BODY = """: hello
retry: 3000

event: ping

data:

id: 7
data: one
data:two

event: named
data: 漢😀

: between
data: last"""
EVENTS = [
    ServerSentEvent("", "one\ntwo"),
    ServerSentEvent("named", "漢😀"),
    ServerSentEvent("", "last"),
]


def decode(pieces: list[bytes]) -> list[ServerSentEvent]:
    decoder = Decoder()
    found = [event for piece in pieces for event in decoder.decode(piece)]
    return [*found, *decoder.end()]


@given(
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    bom=st.booleans(),
    closed=st.booleans(),
    cuts=st.lists(st.integers(min_value=0, max_value=200)),
)
def test_pieces_and_line_ends_do_not_matter(end: str, *, bom: bool, closed: bool, cuts: list[int]) -> None:
    body = (("\ufeff" if bom else "") + BODY + ("\n\n" if closed else "")).replace("\n", end).encode()
    assert decode([body[one:two] for one, two in pairwise([0, *sorted(cuts), len(body)])]) == EVENTS


@given(st.lists(st.binary()))
def test_any_bytes_can_be_read(pieces: list[bytes]) -> None:
    assert all(event.data for event in decode(pieces))


def test_what_is_no_stream_is_kept() -> None:
    decoder = Decoder()
    assert decoder.decode(b'{"id": 1,\n "choices": []}') == decoder.end() == []
    assert b"\n".join(decoder.foreign) == b'{"id": 1,\n "choices": []}'


@pytest.mark.parametrize("line", [b"data: xxxx\n", b"xxxx\n", b"xxxx"])
def test_what_has_no_end_is_given_up(monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    monkeypatch.setattr(sse, "MOST_BYTES", 100)
    with pytest.raises(TooLongError, match="more than 100 bytes"):
        decode([line] * 200)
