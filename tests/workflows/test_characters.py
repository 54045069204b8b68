"""Texts that every database and every JSON parser takes, whatever a host sends."""

from hypothesis import given
from hypothesis import strategies as st

from longrun.activities.providers.assembly import Assembly
from longrun.activities.providers.provider import PartCompleted, PartDelta
from longrun.workflows.contract.characters import clean, clean_json
from longrun.workflows.contract.messages import TextPart

ANY = st.text(st.characters(exclude_categories=()), max_size=20)
HALVES = st.text(st.sampled_from("a\0\ud83d\ude00😀"), max_size=8)


@given(ANY | HALVES)
def test_a_clean_text_can_be_kept_and_is_clean(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert "\0" not in cleaned
    assert clean(cleaned) == cleaned


def test_halves_are_joined_and_lone_ones_and_nul_replaced() -> None:
    assert clean("\ud83d\ude00") == "😀"
    assert clean("a\udcafb\0") == "a\ufffdb\ufffd"
    assert clean_json({"\ud83d": ["\0", 5, None]}) == {"\ufffd": ["\ufffd", 5, None]}


@given(st.lists(ANY | HALVES, max_size=6))
def test_a_part_in_pieces_is_the_clean_whole_and_so_are_its_deltas(pieces: list[str]) -> None:
    parts = Assembly("any/model")
    deltas = [*parts.start("text", "text")]
    for piece in pieces:
        deltas += parts.append("text", piece)
    deltas += parts.complete("text")
    texts = [delta.text for delta in deltas if isinstance(delta, PartDelta)]
    (part,) = (delta.value for delta in deltas if isinstance(delta, PartCompleted))
    assert part == TextPart(text="".join(texts))
    assert "".join(texts) == clean("".join(pieces))
