"""People: who starts runs, decides and cancels, and asks again when nobody has answered."""

import asyncio
import random
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Literal

import httpx2

from longrun.runtime.ids import new_id
from longrun.workflows.contract.runs import Verdict
from tests.chaos.driving.kinds import Part
from tests.chaos.observations import CancelSent, DecisionSent

_PAUSE = 0.1
_ANSWERS: dict[int, Literal["counted", "refused", "accepted"]] = {200: "counted", 202: "accepted", 409: "refused"}


async def start(http: httpx2.AsyncClient, part: Part) -> str:
    """Start a run; its id, once somebody has given it."""
    while True:
        try:
            answer = await http.post("/api/runs", json=part.body, headers={"Idempotency-Key": part.label})
        except httpx2.TransportError:
            await asyncio.sleep(_PAUSE)
            continue
        if answer.status_code in (200, 201):
            return answer.json()["id"]
        assert answer.status_code == 503, answer.text
        await asyncio.sleep(_PAUSE)


@dataclass
class Reviewing:
    """Decides what a run asks, from when ``may`` is set; now and then two people do."""

    http: httpx2.AsyncClient
    run_id: str
    rng: random.Random
    may: asyncio.Event
    sent: list[DecisionSent] = field(default_factory=list[DecisionSent])
    moments: list[float] = field(default_factory=list[float])

    async def review(self) -> None:
        """Look for questions until cancelled."""
        await self.may.wait()
        while True:
            try:
                for question in await self._pending():
                    await self._decide(question)
            except (httpx2.TransportError, _UnavailableError):
                pass
            await asyncio.sleep(_PAUSE)

    async def _pending(self) -> list[dict[str, Any]]:
        answer = await self.http.get("/api/approvals", params={"status": "pending", "run_id": self.run_id})
        if answer.status_code != 200:
            raise _UnavailableError
        return answer.json()["approvals"]

    async def _decide(self, question: dict[str, Any]) -> None:
        people = ("ann", "bob") if self.rng.random() < 0.3 else ("ann",)
        again = question["call_id"] != question.get("interrupted", question["call_id"])
        await asyncio.gather(*(self._say(question["call_id"], name, again=again) for name in people))

    async def _say(self, call_id: str, by: str, *, again: bool) -> None:
        verdicts: list[Verdict] = ["approve", "deny", "answer"] if again else ["approve", "approve", "deny", "answer"]
        said: dict[str, Any] = {"decision": self.rng.choice(verdicts), "by": by, "id": new_id(), "run_id": self.run_id}
        if said["decision"] == "answer":
            said["answer"] = "it is done"
        index = len(self.sent)
        self.sent.append(DecisionSent(call_id, said["decision"], by, said["id"], "error"))
        self.moments.append(monotonic())
        answer = await self.http.post(f"/api/approvals/{call_id}", json=said)
        if known := _ANSWERS.get(answer.status_code):
            self.sent[index] = DecisionSent(call_id, said["decision"], by, said["id"], known)


class _UnavailableError(Exception):
    """The gateway answers, and cannot help."""


async def cancel(http: httpx2.AsyncClient, run_id: str, sent: list[CancelSent]) -> None:
    """Cancel a run, again until somebody has heard it; ``sent`` gets each time that it was said."""
    while True:
        sent.append(CancelSent("ann", "error"))
        try:
            answer = await http.post(f"/api/runs/{run_id}/cancel", json={"by": "ann"})
            if answer.status_code in (200, 202):
                head = (await http.get(f"/api/runs/{run_id}/events", params={"view": "raw", "limit": 5000})).json()
                sent[-1] = CancelSent("ann", answer.json()["delivery"], head["next"])
                return
        except httpx2.TransportError:
            pass
        await asyncio.sleep(_PAUSE)
