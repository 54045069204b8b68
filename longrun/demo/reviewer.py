"""The demo's reviewer, a person at the terminal or the demo itself, who decides by a signal to the workflow."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from pydantic import JsonValue

from longrun.gateway.service.reviews import Reviews
from longrun.terminal.prompt import ask
from longrun.terminal.view import View
from longrun.terminal.wording import whole
from longrun.workflows.contract.runs import Decision, PendingApproval

PATIENCE = 60.0
"""Seconds that a person has; then the demo approves, so that it ends."""
BAR = "bold magenta"
"""The style of the demo's own lines."""
_QUESTION = "[a]pprove or [d]eny? "
_YES, _NO = frozenset({"a", "approve", "y", "yes"}), frozenset({"d", "deny", "n", "no"})


@dataclass(frozen=True)
class Review:
    """A decision on a call of ``tool``; the run confirmed it after ``seconds``.

    ``early``: the file that the call was to write existed before the decision.
    """

    tool: str
    decision: Decision
    seconds: float
    early: bool


@dataclass
class Reviewer:
    """Decides the waiting calls.

    Args:
        reviews: Sends the signals.
        view: The view that shows the calls.
        attended: Whether a person sits at the terminal.
        by: The reviewer's name.
    """

    reviews: Reviews
    view: View
    attended: bool
    by: str
    given: list[Review] = field(default_factory=list[Review])

    async def review(self, run_id: str, call: PendingApproval, written: Callable[[], bool]) -> None:
        """Decide a call; ``written`` says whether the file that it is to write exists.

        Raises:
            ReviewError: The run has ended.
            TemporalUnavailableError: Temporal did not answer.
        """
        approved = await self._ask(call)
        reason = None if approved else "The reviewer of the demo does not want it."
        verdict = "approve" if approved else "deny"
        decision = Decision(call_id=call.call_id, decision=verdict, reason=reason, by=self.by, id=str(uuid4()))
        early, began = written(), time.monotonic()
        ruling = await self.reviews.decide(run_id, decision)
        self.given.append(Review(call.name, decision, time.monotonic() - began, early))
        self.view.say(f"▌ SIGNAL   `decide` to the workflow: {verdict}, by {self.by}; it {ruling.kind}", BAR)

    async def _ask(self, call: PendingApproval) -> bool:
        if not self.attended:
            self.view.say("▌          nobody sits at a terminal: the demo approves by itself", BAR)
            return True
        self.view.say(laid_out(call.arguments), "")
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._answer()
        except TimeoutError:
            self.view.say(f"no answer in {PATIENCE:g} s: approved")
            return True

    async def _answer(self) -> bool:
        while (answer := await ask(_QUESTION)) is not None:
            if answer.lower() in _YES | _NO:
                return answer.lower() in _YES
        return True


def laid_out(arguments: str) -> str:
    """All arguments of a call for a person, a text of several lines as its lines."""
    try:
        values: JsonValue = json.loads(arguments)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        return whole(arguments)
    return "\n".join(f"  {name}: {_value(value)}" for name, value in values.items())


def _value(value: JsonValue) -> str:
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value if "\n" not in value else "".join(f"\n    {line}" for line in value.splitlines())
