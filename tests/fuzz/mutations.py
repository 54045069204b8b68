"""Good streams made bad ones by a seed: in their bytes, in their frames, in the JSON of their events."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from tests.fuzz.mutated_json import Json, changed, values
from tests.fuzz.streams import Frames

_ODD = [
    b"\xef\xbb\xbf",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    b":",
    b"data:",
    b"{",
    b'"',
]
_FIELDS = (
    *(b": a comment\n", b"data\n", b"data:\n\n", b"id: 7\n", b"retry: 10\n", b"event: error\n", b"event: ping\n"),
    *(b"data: [DONE]\n\n", b"data: null\n\n", b"data: []\n\n", b"data: {}\n\n", b"data: \xff\n\n", b"\n", b"x: y\n"),
)
MARK = "\\u00ab"
"""Begins a mark in JSON; nothing that has one is put in twice."""
_ENDS = (b"\r\n", b"\r")


@dataclass(frozen=True)
class Mutant:
    """A body in the pieces in which it comes, what was done to it, and whether that may say a text twice."""

    pieces: Sequence[bytes]
    how: str
    repeats: bool

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(self.pieces)


def mutant(random: Random, frames: Frames) -> Mutant:
    """A body made of a stream, mostly by one mutation, now and then by two or three."""
    made, names, repeats = list(frames), list[str](), False
    for _ in range(random.choice((1, 1, 1, 1, 2, 3))):
        name = random.choice(list(_MUTATIONS))
        made, again = _MUTATIONS[name](random, made)
        names.append(name)
        repeats = repeats or again
    return Mutant(_cut_up(random, b"".join(made)), " + ".join(names), repeats)


def _cut_up(random: Random, body: bytes) -> list[bytes]:
    """A body as it comes from the network: whole, or in pieces that end anywhere."""
    if random.randrange(2):
        return [body]
    ends = sorted(random.randrange(len(body) + 1) for _ in range(random.randrange(1, 12)))
    return [body[a:b] for a, b in zip([0, *ends], [*ends, len(body)], strict=True)]


def _span(random: Random, body: bytes, longest: int = 40) -> tuple[int, int]:
    start = random.randrange(len(body) + 1)
    return start, min(len(body), start + random.randrange(1, longest))


def _flip(random: Random, frames: list[bytes]) -> tuple[list[bytes], bool]:
    body = bytearray(b"".join(frames))
    for _ in range(random.randrange(1, 4)):
        if body:
            body[random.randrange(len(body))] ^= 1 << random.randrange(8)
    return [bytes(body)], True


def _cut(random: Random, frames: list[bytes]) -> tuple[list[bytes], bool]:
    body = b"".join(frames)
    start, end = _span(random, body)
    return [body[:start] + (b"" if random.randrange(2) else body[end:])], True


def _insert(random: Random, frames: list[bytes]) -> tuple[list[bytes], bool]:
    body = b"".join(frames)
    at = random.choice((0, len(body), random.randrange(len(body) + 1)))
    return [body[:at] + random.choice(_ODD) + body[at:]], True


def _duplicate(random: Random, frames: list[bytes]) -> tuple[list[bytes], bool]:
    body = b"".join(frames)
    start, end = _span(random, body, 400)
    return [body[:end] + body[start:]], True


def _drop_frames(random: Random, frames: list[bytes]) -> tuple[list[bytes], bool]:
    kept = [frame for frame in frames if random.randrange(8)]
    return kept, False


def _repeat_frame(random: Random, frames: list[bytes]) -> tuple[list[bytes], bool]:
    at = random.randrange(len(frames) + 1)
    return [*frames[:at], *frames[max(0, at - random.randrange(1, 4)) :]], True


def _reorder(random: Random, frames: list[bytes]) -> tuple[list[bytes], bool]:
    made = list(frames)
    if random.randrange(4) == 0:
        random.shuffle(made)
    elif made:
        made.insert(random.randrange(len(made)), made.pop(random.randrange(len(made))))
    return made, True


def _intersperse(random: Random, frames: list[bytes]) -> tuple[list[bytes], bool]:
    made = list(frames)
    for _ in range(random.randrange(1, 4)):
        made.insert(random.randrange(len(made) + 1), random.choice(_FIELDS))
    return made, False


def _line_ends(random: Random, frames: list[bytes]) -> tuple[list[bytes], bool]:
    end = random.choice(_ENDS)
    mixed = random.randrange(2)
    return [frame if mixed and random.randrange(2) else frame.replace(b"\n", end) for frame in frames], False


def _join(random: Random, frames: list[bytes]) -> tuple[list[bytes], bool]:
    """Two events without the blank line between them."""
    at = random.randrange(len(frames) + 1)
    return [frame.removesuffix(b"\n") if index == at else frame for index, frame in enumerate(frames)], False


def _split(random: Random, frames: list[bytes]) -> tuple[list[bytes], bool]:
    """One event's data over two lines, or in two events."""
    if not frames:
        return frames, False
    at, between = random.randrange(len(frames)), random.choice((b"\ndata: ", b"\n\ndata: ", b"\ndata:\ndata:"))
    cut = random.randrange(len(frames[at]) + 1)
    return [*frames[:at], frames[at][:cut] + between + frames[at][cut:], *frames[at + 1 :]], True


def _rename_field(random: Random, frames: list[bytes]) -> tuple[list[bytes], bool]:
    new = random.choice((b"Data:", b"data :", b"date:", b"event:", b"", b"id:", b"data:data:"))
    return [frame if random.randrange(4) else frame.replace(b"data:", new, 1) for frame in frames], True


def _in_json(random: Random, frames: list[bytes]) -> tuple[list[bytes], bool]:
    texts = [(at, *_json_of(frame)) for at, frame in enumerate(frames)]
    fit = [(at, head, text) for at, head, text in texts if text]
    if not fit:
        return frames, False
    found = [each for _, _, text in random.sample(fit, min(3, len(fit))) for each in values(json.loads(text))]
    known = [each for each in found if MARK not in json.dumps(each)]
    at, head, text = random.choice(fit)
    made = changed(random, text, known)
    return [*frames[:at], f"{head}{made}\n\n".encode(), *frames[at + 1 :]], False


def _json_of(frame: bytes) -> tuple[str, str]:
    """What stands before an event's JSON, and the JSON, which is empty if it is none any more."""
    head, mark, text = frame.decode(errors="replace").rpartition("data: ")
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError):
        return "", ""
    return head + mark, text if isinstance(value, dict) else ""


_MUTATIONS: dict[str, Callable[[Random, list[bytes]], tuple[list[bytes], bool]]] = {
    "flip": _flip,
    "cut": _cut,
    "insert": _insert,
    "duplicate": _duplicate,
    "drop frames": _drop_frames,
    "repeat a frame": _repeat_frame,
    "reorder": _reorder,
    "intersperse": _intersperse,
    "line ends": _line_ends,
    "join": _join,
    "split": _split,
    "rename a field": _rename_field,
    **{f"json {number}": _in_json for number in range(12)},
}
