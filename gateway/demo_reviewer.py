"""The demo's reviewer: a person at a terminal, or one who agrees by itself; decides by signalling the workflow."""

import asyncio
import time
from dataclasses import dataclass, field
from uuid import uuid4

from gateway.prompt import Lines
from gateway.review import Reviews
from gateway.view import View
from gateway.wording import whole
from workflows.contract.runs import Decision, PendingApproval

PATIENCE = 60.0
"""Seconds that a person has; then the demo agrees, so that it ends."""
_QUESTION = "[a]pprove or [d]eny? "
_YES, _NO = frozenset({"a", "approve", "y", "yes"}), frozenset({"d", "deny", "n", "no"})


@dataclass(frozen=True)
class Review:
    """A decision on a call of ``tool``; the run confirmed it after ``seconds``."""

    tool: str
    decision: Decision
    seconds: float


@dataclass
class Reviewer:
    """Decides the calls that wait.

    Args:
        reviews: The way to the workflow.
        view: Where the questions are shown.
        lines: What the person types; ``None`` where nobody sits.
        by: The reviewer's name.
    """

    reviews: Reviews
    view: View
    lines: Lines | None
    by: str
    given: list[Review] = field(default_factory=list[Review])

    async def review(self, run_id: str, call: PendingApproval) -> None:
        """Decide a call.

        Raises:
            ReviewError: The run has ended.
            TemporalAwayError: Temporal did not answer.
        """
        approved = await self._ask(call)
        reason = None if approved else "The reviewer of the demo does not want it."
        verdict = "approve" if approved else "deny"
        decision = Decision(call_id=call.call_id, decision=verdict, reason=reason, by=self.by, id=str(uuid4()))
        began = time.monotonic()
        ruling = await self.reviews.decide(run_id, decision)
        self.given.append(Review(call.name, decision, time.monotonic() - began))
        self.view.say(f"⚖ {verdict}: signal `decide` sent to workflow {run_id}; it {ruling.kind}", "bold magenta")

    async def _ask(self, call: PendingApproval) -> bool:
        if self.lines is None:
            self.view.say("⚖ nobody sits at a terminal: the reviewer approves by itself", "bold magenta")
            return True
        self.lines.forget()
        self.view.say(f"{call.name} {whole(call.arguments)}", "")
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._answer(self.lines)
        except TimeoutError:
            self.view.say(f"no answer in {PATIENCE:g} s: approved")
            return True

    async def _answer(self, lines: Lines) -> bool:
        while True:
            self.view.ask(_QUESTION)
            line = await lines.line()
            if line is None:
                return True
            self.view.answered()
            if (answer := line.strip().lower()) in _YES | _NO:
                return answer in _YES
