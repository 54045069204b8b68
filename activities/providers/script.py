"""The format of a script for ``scripted/NAME``: turns of text, reasoning, calls, pauses and failures."""

import re
from pathlib import Path
from typing import Annotated, Any, cast

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError, field_validator

from longrun.activities.failures import FailureKind, ProviderFailure
from longrun.workflows.contract.messages import FinishReason, Usage

Times = bool | int
"""``true``: in every attempt; a number: in so many first ones."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScriptedCall(_Strict):
    """A tool call. A text in ``arguments`` is sent unchanged, JSON or not; a call without ``id`` gets one."""

    name: str
    arguments: dict[str, JsonValue] | str = Field(default_factory=dict[str, JsonValue])
    id: str = ""


class ScriptedFailure(_Strict):
    """The failure of the first ``times`` attempts: its ``kind``, or the one that ``status`` and ``code`` stand for."""

    status: int | None = None
    code: str = ""
    kind: FailureKind | None = None
    message: str = "The script says so."
    retry_after: float | None = Field(default=None, ge=0)
    times: int = Field(default=1, ge=0)


class Item(_Strict):
    """One thing that happens in a turn: exactly one field is set.

    ``pause`` is seconds; texts with nothing but pauses between them are one part. ``tokens_per_second`` and ``chunk``
    (characters per delta; words where it is 0) hold from there on. ``hang`` waits for ever; ``end_early`` closes
    the stream before its terminal event.
    """

    reasoning: str | None = None
    text: str | None = None
    tool_calls: tuple[ScriptedCall, ...] | None = None
    pause: float | None = Field(default=None, ge=0)
    fail: ScriptedFailure | None = None
    tokens_per_second: float | None = Field(default=None, gt=0)
    chunk: int | None = Field(default=None, ge=0)
    hang: Times | None = None
    end_early: Times | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


class Turn(_Strict):
    """One answer of the model, given ``count`` times in a row."""

    items: tuple[Item, ...]
    count: int = Field(default=1, ge=1)


def _turn(given: object) -> object:
    """Take the forms of a script: a list of items, a mapping of them, or ``loop: {count, turn}``."""
    if isinstance(given, dict) and "loop" in given:
        loop = cast("dict[str, Any]", given["loop"]) if isinstance(given["loop"], dict) else {}
        extra = {key: value for key, value in loop.items() if key not in ("count", "turn")}
        return {"items": _items(loop.get("turn")), "count": loop.get("count"), **extra}
    return {"items": _items(cast("object", given))}


def _items(given: object) -> object:
    """One item per key, in the order in which they are written."""
    if not isinstance(given, dict | list):
        return given
    items: list[object] = []
    for each in cast("list[object]", given if isinstance(given, list) else [given]):
        if isinstance(each, dict):
            items += [{key: value} for key, value in cast("dict[str, object]", each).items()]
        else:
            items.append(each)
    return items


Turns = tuple[Annotated[Turn, BeforeValidator(_turn)], ...]


class Conversation(_Strict):
    """The turns for a user message that matches ``when``, a regular expression."""

    when: str
    turns: Turns

    @field_validator("when")
    @classmethod
    def _compiles(cls, when: str) -> str:
        try:
            re.compile(when)
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from error
        return when


class Script(_Strict):
    """A whole script. After the last turn, ``repeat_last`` repeats it; otherwise there is a short farewell."""

    turns: Turns = ()
    conversations: tuple[Conversation, ...] = ()
    repeat_last: bool = False
    tokens_per_second: float | None = Field(default=None, gt=0)
    chunk: int = Field(default=0, ge=0)

    def turn(self, number: int, user_text: str) -> Turn | None:
        """The turn of this number, from 0, for a user's last message; ``None`` after the last turn."""
        turns = next((c.turns for c in self.conversations if re.search(c.when, user_text)), self.turns)
        for turn in turns:
            if number < turn.count:
                return turn
            number -= turn.count
        return turns[-1] if turns and self.repeat_last else None


def read_script(path: Path) -> Script:
    """The script in a file.

    Raises:
        ProviderFailure: It is no script; the message names file and field.
    """
    try:
        return Script.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(step) for step in first["loc"])
        raise ProviderFailure(
            "fatal", f"{path}: {field or 'script'}: {first['msg'].removeprefix('Value error, ')}"
        ) from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ProviderFailure("fatal", f"{path}: {error}") from error
