"""Random messages: random parts, cut at random positions."""

import itertools
import json
from collections.abc import Iterator
from random import Random

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

LETTERS = 'abc é\n"\\{}0ß漢😀 \u2028\x00'


def some_text(random: Random, most: int = 30) -> str:
    """Any text, perhaps none."""
    return "".join(random.choices(LETTERS, k=random.randint(0, most)))


def some_part(random: Random, number: int) -> Part:
    """Any part of a model's message."""
    kind = random.choice(["text", "reasoning", "tool_call", "opaque"])
    opaque: Opaque | None = {"signature": None, "n": [1, None]} if random.random() < 0.3 else None
    if kind == "text":
        return TextPart(text=some_text(random), refusal=random.random() < 0.2, opaque=opaque)
    if kind == "reasoning":
        return ReasoningPart(text=some_text(random), opaque=opaque)
    if kind == "tool_call":
        written = json.dumps({"q": some_text(random)}) if random.random() < 0.7 else some_text(random)
        return ToolCallPart(call_id=f"c{number}", name="look", arguments=written, opaque=opaque)
    return OpaquePart(opaque={"redacted": some_text(random), "nothing": None})


def some_message(seed: int) -> Message:
    """Any message of a model."""
    random = Random(seed)  # noqa: S311 - a test's
    parts = tuple(some_part(random, number) for number in range(random.randint(0, 6)))
    return Message(id=f"m{seed}", role="assistant", parts=parts, provider="scripted/x")


def cuts(random: Random, text: str) -> list[str]:
    """A text in pieces, none of them empty."""
    positions = sorted({0, len(text), *(random.randint(0, len(text)) for _ in range(random.randint(0, 5)))})
    return [text[start:end] for start, end in itertools.pairwise(positions)]


def some_marks(message: Message, seed: int) -> Iterator[int]:
    """Any way to cut a message: parts one after the other, or taking turns."""
    random = Random(seed)  # noqa: S311 - a test's
    streams: list[tuple[int, list[int]]] = [
        (index, [len(piece) for piece in cuts(random, text_of(part))] + [PART_DONE])
        for index, part in enumerate(message.parts)
        if not isinstance(part, OpaquePart)
    ]
    current = -1
    while streams:
        index, lengths = random.choice(streams)
        if index != current:
            yield -index - 1
            current = index
        yield lengths.pop(0)
        streams = [(i, remaining) for i, remaining in streams if remaining]


def conversation(seed: int) -> list[Message]:
    """Any conversation, with results that are missing, repeated, too early or nobody's."""
    random = Random(seed)  # noqa: S311 - a test's
    messages: list[Message] = []
    for number in range(random.randint(1, 8)):
        kind = random.choice(["user", "assistant", "tool"])
        if kind == "user":
            messages.append(Message(id=f"u{number}", role="user", parts=(TextPart(text=some_text(random)),)))
        elif kind == "assistant":
            said = some_message(random.randint(0, 10**6))
            parts = tuple(_renamed(part, number) for part in said.parts)
            messages.append(said.model_copy(update={"parts": parts}))
        else:
            answered = f"{random.randint(0, 7)}:c{random.randint(0, 5)}"
            result = ToolResultPart(call_id=answered, name="look", content=some_text(random))
            messages.append(Message(id=f"t{number}", role="tool", parts=(result,)))
    return messages


def _renamed(part: Part, number: int) -> Part:
    if isinstance(part, ToolCallPart):
        return part.model_copy(update={"call_id": f"{number}:{part.call_id}", "cut": len(text_of(part)) % 5 == 0})
    return part
