"""The messages between users, a model and its tools, in a form of no provider's."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from longrun.workflows.contract.shape import Shape

Opaque = dict[str, JsonValue]
"""Data that only the provider reads (signatures, encrypted reasoning, item ids): sent back unchanged, not streamed."""

FinishReason = Literal[
    "stop", "tool_calls", "length", "refusal", "content_filter", "pause", "overflow", "cancelled", "other"
]
"""Why a model stopped. ``pause``: ask again as it is; ``overflow``: the context is full; ``cancelled``: by us."""

ResultStatus = Literal["ok", "error", "denied", "cancelled"]


class TextPart(Shape):
    """Text of a message. ``cut`` marks a part that is incomplete because the call was cancelled."""

    type: Literal["text"] = "text"
    text: str
    refusal: bool = False
    cut: bool = False
    opaque: Opaque | None = None


class ReasoningPart(Shape):
    """Reasoning that the model shows; ``opaque`` has the signature that the provider wants back."""

    type: Literal["reasoning"] = "reasoning"
    text: str
    cut: bool = False
    opaque: Opaque | None = None


class ToolCallPart(Shape):
    """A tool call of the model. ``arguments`` is the text that the model wrote, which may not be valid JSON."""

    type: Literal["tool_call"] = "tool_call"
    call_id: str
    name: str
    arguments: str
    cut: bool = False
    opaque: Opaque | None = None


class ToolResultPart(Shape):
    """The one result of a tool call. With ``whole``, ``content`` is its beginning, and that blob has all of it.

    ``arguments`` is what a reviewer had the call run with, ``None`` where that is the model's own text.
    """

    type: Literal["tool_result"] = "tool_result"
    call_id: str
    name: str
    content: str
    status: ResultStatus = "ok"
    whole: str | None = None
    arguments: str | None = None


class OpaquePart(Shape):
    """A part that is not shown to readers: redacted thinking, a call of a provider's own tool."""

    type: Literal["opaque"] = "opaque"
    opaque: Opaque


Part = Annotated[
    TextPart | ReasoningPart | ToolCallPart | ToolResultPart | OpaquePart,
    Field(discriminator="type"),
]


class Message(Shape):
    """One message of a conversation.

    ``provider`` names the model that wrote it (``anthropic/claude-…``): its opaque parts mean nothing to another one.
    """

    id: str
    role: Literal["user", "assistant", "tool", "system"]
    parts: tuple[Part, ...]
    provider: str | None = None

    @property
    def text(self) -> str:
        """All text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def calls(self) -> tuple[ToolCallPart, ...]:
        """The complete tool calls, in the model's order."""
        return tuple(part for part in self.parts if isinstance(part, ToolCallPart) and not part.cut)


class Usage(Shape):
    """Tokens of one or more model calls. ``None`` is a count that the provider did not report.

    ``input_tokens`` includes what was read from or written to a cache, ``output_tokens`` includes reasoning.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None

    def __add__(self, other: "Usage") -> "Usage":
        """The sum, in which an unknown count adds nothing to a known one."""
        mine, theirs = self.model_dump(), other.model_dump()
        known = {key: [n for n in (mine[key], theirs[key]) if n is not None] for key in mine}
        return Usage(**{key: sum(counts) for key, counts in known.items() if counts})
