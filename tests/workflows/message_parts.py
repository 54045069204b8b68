"""Strategies for messages that nobody thought of: any parts, cut anywhere."""

import json
from collections.abc import Iterator
from itertools import pairwise

from hypothesis import strategies as st

from longrun.workflows.contract.messages import (
    Message,
    Opaque,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from longrun.workflows.deltas import PART_DONE, text_of

ODD = 'é\n"\\{}ß漢😀\u2028\x00'
TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from(ODD), max_size=30)
"""Any text, perhaps none."""
_OPAQUE: list[Opaque | None] = [None, {"signature": None, "n": [1, None]}]
_opaque = st.sampled_from(_OPAQUE)
_arguments = TEXTS.map(lambda text: json.dumps({"q": text})) | TEXTS


def parts(call_id: str, *, cut: bool = False) -> st.SearchStrategy[Part]:
    """Any part of a model's message.

    Args:
        call_id: The id of the call, if it is one.
        cut: Whether a limit may have cut the call.
    """
    return st.one_of(
        st.builds(TextPart, text=TEXTS, refusal=st.booleans(), opaque=_opaque),
        st.builds(ReasoningPart, text=TEXTS, opaque=_opaque),
        st.builds(
            ToolCallPart,
            call_id=st.just(call_id),
            name=st.just("look"),
            arguments=_arguments,
            opaque=_opaque,
            cut=st.booleans() if cut else st.just(False),
        ),
        st.builds(OpaquePart, opaque=TEXTS.map(lambda text: {"redacted": text, "nothing": None})),
    )


@st.composite
def messages(draw: st.DrawFn, name: str = "m", *, cut: bool = False) -> Message:
    """Any message of a model; its calls are named after it."""
    count = draw(st.integers(0, 6))
    drawn = tuple(draw(parts(f"{name}:c{index}", cut=cut)) for index in range(count))
    return Message(id=name, role="assistant", parts=drawn, provider="scripted/x")


@st.composite
def _pieces(draw: st.DrawFn, text: str) -> list[int]:
    """The lengths of a text's pieces, none of them 0, and the mark of its end."""
    cuts = draw(st.sets(st.integers(0, len(text)), max_size=5)) | {0, len(text)}
    return [end - start for start, end in pairwise(sorted(cuts))] + [PART_DONE]


@st.composite
def marks(draw: st.DrawFn, message: Message) -> tuple[int, ...]:
    """Any way to cut a message: parts one after the other, or taking turns."""
    streams = {
        index: draw(_pieces(text_of(part)))
        for index, part in enumerate(message.parts)
        if not isinstance(part, OpaquePart)
    }

    def interleaved() -> Iterator[int]:
        current = -1
        while streams:
            index = draw(st.sampled_from(sorted(streams)))
            if index != current:
                yield -index - 1
                current = index
            yield streams[index].pop(0)
            if not streams[index]:
                del streams[index]

    return tuple(interleaved())


@st.composite
def cut_messages(draw: st.DrawFn) -> tuple[Message, tuple[int, ...]]:
    """Any message, and a way to cut it."""
    message = draw(messages())
    return message, draw(marks(message))


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Any conversation, with results that are missing, repeated, too early or nobody's."""
    said: list[Message] = []
    for number in range(draw(st.integers(1, 8))):
        match draw(st.sampled_from(("user", "assistant", "tool"))):
            case "user":
                said.append(Message(id=f"u{number}", role="user", parts=(TextPart(text=draw(TEXTS)),)))
            case "assistant":
                said.append(draw(messages(str(number), cut=True)))
            case _:
                call_id = f"{draw(st.integers(0, 7))}:c{draw(st.integers(0, 5))}"
                result = ToolResultPart(call_id=call_id, name="look", content=draw(TEXTS))
                said.append(Message(id=f"t{number}", role="tool", parts=(result,)))
    return said
