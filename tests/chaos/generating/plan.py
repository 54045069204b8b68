"""What a conversation asks the counting provider for: its last plan, and how often that was answered already."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from tests.wire_answers import tokens

Wire = Literal["responses", "chat"]
Body = Mapping[str, Any]

_PIECE = 8
_LAST = "done"


class CallPlan(BaseModel):
    """A tool call of a turn."""

    model_config = ConfigDict(frozen=True)

    name: str
    arguments: dict[str, JsonValue] = {}
    id: str | None = None


class TurnPlan(BaseModel):
    """One answer: so many tokens of thinking, so many of text, then the calls, after ``first_token`` seconds."""

    model_config = ConfigDict(frozen=True)

    reasoning: int = 0
    text: int = 0
    calls: tuple[CallPlan, ...] = ()
    first_token: float = 0.0


class Plan(BaseModel):
    """A user message's text. ``rate`` is in tokens per second, 0 for all at once; ``label`` goes into the bill."""

    model_config = ConfigDict(frozen=True)

    turns: tuple[TurnPlan, ...]
    rate: float = 50.0
    label: str = ""


def plan_text(label: str, *turns: Body, rate: float = 0) -> str:
    """A plan as a user message says it."""
    return json.dumps({"label": label, "turns": turns, "rate": rate})


class NoPlanError(Exception):
    """No user message of the conversation is a plan."""


@dataclass(frozen=True)
class Call:
    """A tool call as it will be streamed."""

    call_id: str
    name: str
    pieces: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What is said in this turn, token by token."""

    label: str
    turn: int
    rate: float
    first_token: float
    tokens_in: int
    reasoning: tuple[str, ...]
    text: tuple[str, ...]
    calls: tuple[Call, ...]

    @property
    def tokens_out(self) -> int:
        """The tokens of the whole answer."""
        return len(self.reasoning) + len(self.text) + sum(len(call.pieces) for call in self.calls)


def answer(wire: Wire, body: Body) -> Answer:
    """The answer to a request, which its conversation alone decides.

    The last user message that is a plan counts: others are what somebody said in between. The number of the turn is
    how often the model has spoken since. Past the plan's last turn the answer is ``done``.

    Raises:
        NoPlanError: There is no plan.
    """
    items = body["messages"] if wire == "chat" else body["input"]
    plan, number = _position(items)
    turn = plan.turns[number] if number < len(plan.turns) else None
    calls = turn.calls if turn else ()
    return Answer(
        label=plan.label,
        turn=number,
        rate=plan.rate,
        first_token=turn.first_token if turn else 0.0,
        tokens_in=_count(items) + _count(body.get("instructions")),
        reasoning=_tokens("r", number, turn.reasoning) if turn else (),
        text=_tokens("w", number, turn.text) if turn else (_LAST,),
        calls=tuple(_calls(number, calls, set(_call_ids(items)))),
    )


def _tokens(kind: str, turn: int, count: int) -> tuple[str, ...]:
    return tuple(tokens("".join(f"t{turn}{kind}{index} " for index in range(count))))


def _calls(turn: int, calls: Sequence[CallPlan], taken: set[str]) -> Iterator[Call]:
    for index, call in enumerate(calls):
        call_id = call.id or _free(f"call_{turn}_{index}", taken)
        text = json.dumps(call.arguments)
        yield Call(call_id, call.name, tuple(text[at : at + _PIECE] for at in range(0, len(text), _PIECE)))


def _free(wanted: str, taken: set[str]) -> str:
    """The id, with a number if an earlier run of the thread has it: no id may occur twice in a conversation."""
    found, number = wanted, 1
    while found in taken:
        number += 1
        found = f"{wanted}_{number}"
    return found


def _call_ids(items: Sequence[Body]) -> Iterator[str]:
    for item in items:
        if item.get("type") == "function_call":
            yield item["call_id"]
        yield from (call["id"] for call in item.get("tool_calls") or ())


def _position(items: Sequence[Body]) -> tuple[Plan, int]:
    """The plan and the number of the turn. What the model says in one go is one item or many, but one turn."""
    plan: Plan | None = None
    turns, speaking = 0, False
    for item in items:
        spoke, speaking = speaking, _of_the_model(item)
        turns += speaking and not spoke
        if (found := _plan(item)) is not None:
            plan, turns = found, 0
    if plan is None:
        raise NoPlanError("no user message is a plan")
    return plan, turns


def _of_the_model(item: Body) -> bool:
    return item.get("role") == "assistant" or item.get("type") in ("reasoning", "function_call")


def _plan(item: Body) -> Plan | None:
    if item.get("role") != "user":
        return None
    content = item["content"]
    text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    try:
        return Plan.model_validate_json(text)
    except ValidationError:
        return None


def _count(content: JsonValue) -> int:
    """The words of all texts in there."""
    if isinstance(content, str):
        return len(content.split())
    if isinstance(content, dict):
        return sum(_count(value) for value in content.values())
    return sum(_count(value) for value in content) if isinstance(content, list) else 0
