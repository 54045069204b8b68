"""Runs as they come: steps that are asked again, tools that are interrupted, pauses, and an end at any point.

What each activity returned is kept, as Temporal's history keeps it.
"""

from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from longrun.workflows import record
from longrun.workflows.contract.events import Event, encode, number
from longrun.workflows.contract.messages import Message, Part, ReasoningPart, TextPart, ToolCallPart
from longrun.workflows.contract.requests import Answer, ModelCall, ToolCall, Verdicts
from longrun.workflows.contract.results import Finished, ModelReply, Paused, Recorded, ToolOutcome
from longrun.workflows.contract.runs import Cancel, Decision, Outcome, RunOrder, Said, Verdict
from tests.build import Stores, answer, at, finish, pause, retold, tool_call

OUTCOMES = (
    Outcome(status="completed", stop_reason="end_turn"),
    Outcome(status="failed", stop_reason="max_steps"),
    Outcome(status="cancelled", stop_reason="cancelled", cancel=Cancel(by="ann")),
)
WORDS = ("one ", "two\n", "drei ü ", "\u2028", "四", "", "a longer piece of text")


@dataclass
class History:
    """The results of a run's activities."""

    order: RunOrder
    replies: dict[int, ModelReply] = field(default_factory=dict[int, ModelReply])
    outcomes: list[ToolOutcome] = field(default_factory=list[ToolOutcome])
    pauses: list[Paused] = field(default_factory=list[Paused])
    recorded: list[Recorded] = field(default_factory=list[Recorded])
    end: Finished | None = None

    def retold(self) -> list[bytes]:
        """The settled log, from the results alone."""
        texts = {part.call_id: part.arguments for reply in self.replies.values() for part in reply.message.calls}
        output = self.replies[max(self.replies)].message.text if self.replies else ""
        results = [
            *self.replies.values(),
            *self.outcomes,
            *self.pauses,
            *self.recorded,
            *([self.end] if self.end else []),
        ]
        events: list[Event] = [record.accepted(self.order).model_copy(update={"seq": 1})]
        events += retold(self.order.run_id, *results, text=output, arguments=texts)
        return [number(event.seq, encode(event)) for event in sorted(events, key=lambda event: event.seq)]

    @property
    def turn(self) -> int:
        """The turn that the run is in."""
        return 1 + sum(each.verdicts.resume for each in self.recorded)


class Teller:
    """Tells one run, as chance will have it.

    Args:
        store: Where it happens.
        order: The run, accepted.
        chance: What decides.
    """

    def __init__(self, store: Stores, order: RunOrder, chance: Random) -> None:
        self._store = store
        self._chance = chance
        self._clock = 0
        self.history = History(order)

    async def tell(self) -> History:
        """The whole run."""
        run_id = self.history.order.run_id
        for step in range(1, self._chance.randint(1, 4)):
            reply = await self._step(step)
            waits = bool(reply.message.calls) and self._often()
            if waits and not await self._pause(step, reply.message):
                break
            for part in reply.message.calls:
                if self._often():
                    await self._run_tool(tool_call(run_id, step, part))
        else:
            if self._often():
                await self._open_step(len(self.history.replies) + 1)
        end = finish(run_id, self._chance.choice(OUTCOMES), turn=self.history.turn)
        results = [(await self._store.runs.finish(end, self._now()))[0] for _ in range(2)]
        assert results[0] == results[1]
        self.history.end = results[0]
        return self.history

    def _often(self) -> bool:
        return self._chance.random() < 0.6

    def _now(self) -> datetime:
        self._clock += 1
        return at(self._clock + self._chance.randrange(1000) / 1000)

    def _message(self, step: int) -> Message:
        parts: list[Part] = []
        for place in range(self._chance.randint(0, 4)):
            text = "".join(self._chance.choices(WORDS, k=3))
            call = ToolCallPart(call_id=f"{step}:{place}", name="search", arguments=text, cut=not self._often())
            parts.append(self._chance.choice([TextPart(text=text), ReasoningPart(text=text), call]))
        return answer(*parts)

    async def _open_step(self, step: int) -> ModelCall:
        said = tuple(Said(text=word, by="ann") for word in self._chance.sample(WORDS, k=self._chance.randint(0, 2)))
        call = ModelCall(run_id=self.history.order.run_id, step=step, said=said)
        for _ in range(self._chance.randint(1, 3)):
            attempt = await self._store.begin(call, self._now())
            await self._store.babble(call, attempt, self._chance.sample(WORDS, k=self._chance.randint(0, 3)))
        return call

    async def _step(self, step: int) -> ModelReply:
        call = await self._open_step(step)
        attempt = await self._store.begin(call, self._now())
        reply = await self._store.stream(call, attempt, self._message(step), self._now())
        again = await self._store.begin(call, self._now())
        assert again.reply == reply
        self.history.replies[step] = reply
        return reply

    async def _run_tool(self, call: ToolCall) -> None:
        edited = '{"q":"safe"}' if self._often() else None
        for _ in range(self._chance.randint(0, 2)):
            attempt = await self._store.calls.begin(call, edited, "worker", self._now())
            for place in range(self._chance.randint(0, 3)):
                await self._store.calls.progress(call, attempt.number, place, {"at": [place, None]}, self._now())
        result = Answer(call_id=call.call_id, name=call.name, status="ok", content="".join(WORDS))
        if self._often():
            attempt = await self._store.calls.begin(call, edited, "worker", self._now())
            outcome = await self._store.calls.complete(call, result, None, attempt.number, self._now())
        elif self._often():
            (outcome,) = await self._store.calls.answer(call.run_id, [result], self._now())
        else:
            return
        self.history.outcomes.append(outcome)

    async def _pause(self, step: int, message: Message) -> bool:
        """Pause for all calls; false if the run ends before all are decided."""
        asked = pause(self.history.order.run_id, step, message, turn=self.history.turn)
        results = [await self._store.approvals.pause(asked, self._now()) for _ in range(2)]
        assert results[0] == results[1]
        self.history.pauses.append(results[0])
        left = [call.call_id for call in message.calls]
        while left:
            if not self._often():
                return False
            some, left = left[:2], left[2:]
            expired = tuple(some) if self._chance.random() < 0.2 else ()
            decisions = () if expired else tuple(self._decision(call_id) for call_id in some)
            verdicts = Verdicts(
                run_id=self.history.order.run_id,
                step=step,
                turn=self.history.turn,
                decisions=decisions,
                expired=expired,
                resume=not left,
            )
            recorded = [await self._store.approvals.record(verdicts, self._now()) for _ in range(2)]
            assert recorded[0] == recorded[1]
            self.history.recorded.append(recorded[0])
        return True

    def _decision(self, call_id: str) -> Decision:
        verdicts: tuple[Verdict, ...] = ("approve", "deny", "edit", "answer")
        return Decision(
            call_id=call_id, decision=self._chance.choice(verdicts), args={"q": 1}, answer="42", by="ann", id=call_id
        )
