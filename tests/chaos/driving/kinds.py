"""The kinds of runs that are started, what their models say, and what must come of it."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from longrun.runtime.ids import new_id
from tests.chaos.effect_tools import DECLARED
from tests.chaos.generating.plan import plan_text
from tests.chaos.observations import PlannedTurn, RunRequest, turn_text

KindName = Literal["talk", "look", "strike", "pay", "pair", "cancel", "halt", "leave", "regret"]
ProviderKind = Literal["re-attachable", "not"]
MODELS: dict[ProviderKind, str] = {"re-attachable": "openai/gpt-test", "not": "openai-chat/gpt-test"}
_RATE = 60
_WRITERS = ("strike", "knock", "store")


@dataclass(frozen=True)
class Part:
    """A run to be started. It is cancelled when its viewer has seen this many events, and one of this type."""

    label: str
    kind: KindName
    provider: ProviderKind
    turns: tuple[dict[str, Any], ...]
    thread_id: str
    cancel_after: tuple[int, str] | None = None

    @property
    def body(self) -> dict[str, Any]:
        """What is asked of the gateway."""
        agent = {"model": MODELS[self.provider], "tools": [tool.name for tool in DECLARED]}
        return {"agent": agent, "input": plan_text(self.label, *self.turns, rate=_RATE), "thread_id": self.thread_id}

    @property
    def waits(self) -> bool:
        """Whether a person may be asked something."""
        return self.kind in ("pay", "strike", "regret")

    def request(self, run_id: str) -> RunRequest:
        """The same for the checker."""
        plan = tuple(_planned(number, turn) for number, turn in enumerate(self.turns))
        background = self.provider == "re-attachable"
        return RunRequest(run_id, self.thread_id, self.label, plan=plan, tools=DECLARED, background=background)


def _planned(number: int, turn: dict[str, Any]) -> PlannedTurn:
    calls = tuple(call["name"] for call in turn.get("calls", ()))
    return PlannedTurn(turn_text(number, turn.get("text", 0)), turn_text(number, turn.get("reasoning", 0), "r"), calls)


def _said(*turns: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    return turns


def _talk(rng: random.Random) -> tuple[dict[str, Any], ...]:
    return _said({"reasoning": rng.randint(0, 6), "text": rng.randint(30, 60), "first_token": 0.1})


def _call(name: str, rng: random.Random) -> dict[str, Any]:
    return {"name": name, "arguments": {"what": " ".join(["so"] * rng.randint(20, 60))}}


def _look(rng: random.Random) -> tuple[dict[str, Any], ...]:
    return _said({"text": 3, "calls": [_call("look", rng)]}, {"text": rng.randint(5, 20)})


def _strike(rng: random.Random) -> tuple[dict[str, Any], ...]:
    first, second = rng.choice(_WRITERS), rng.choice(_WRITERS)
    return _said({"text": 3, "calls": [_call(first, rng)]}, {"calls": [_call(second, rng)]}, {"text": 10})


def _pay(rng: random.Random) -> tuple[dict[str, Any], ...]:
    return _said({"text": 3, "calls": [_call("pay", rng)]}, {"text": rng.randint(5, 20)})


def _endless(rng: random.Random) -> tuple[dict[str, Any], ...]:
    return _said({"text": 600})


def _halt(rng: random.Random) -> tuple[dict[str, Any], ...]:
    return _said({"text": 3, "calls": [_call("linger", rng)]}, {"text": 5})


_TURNS: dict[KindName, Callable[[random.Random], tuple[dict[str, Any], ...]]] = {
    "talk": _talk,
    "look": _look,
    "strike": _strike,
    "pay": _pay,
    "pair": _talk,
    "cancel": _endless,
    "halt": _halt,
    "leave": _pay,
    "regret": _pay,
}
_CANCELLED: dict[KindName, tuple[int, int, str]] = {
    "cancel": (3, 40, "run.accepted"),
    "halt": (1, 1, "tool.started"),
    "leave": (1, 1, "run.waiting"),
    "regret": (1, 1, "approval.decided"),
}
"""Kinds that are cancelled, in a text, a tool, a pause, after it: once so many events were seen, and this type."""


def services_of(kind: KindName, provider: ProviderKind, rng: random.Random) -> list[Part]:
    """The runs that a kind stands for: one, or two of one thread."""
    thread_id = new_id()
    least, most, event = _CANCELLED.get(kind, (0, 0, ""))
    after = (rng.randint(least, most), event) if event else None
    return [
        Part(f"{kind}-{new_id()}", kind, provider, _TURNS[kind](rng), thread_id, after)
        for _ in range(2 if kind == "pair" else 1)
    ]
