"""Runs as they are drawn: steps that are asked again, tools that are interrupted, pauses, and an end at any point.

What each activity returned is kept, as Temporal's history keeps it.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from hypothesis import strategies as st

from longrun.store.attempts import Taker
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
TEXTS = ("one ", "two\n", "drei ü ", "\u2028", "四", "", "a longer piece of text")
_VERDICTS: tuple[Verdict, ...] = ("approve", "deny", "edit", "answer")
_text = st.sampled_from(TEXTS)
_texts = st.lists(_text, max_size=3, unique=True)
_usually = st.sampled_from((False, True, True, True))
T = TypeVar("T")


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


@st.composite
def _parts(draw: st.DrawFn, call_id: str) -> Part:
    """A part of a message: mostly a call, which may be cut."""
    text = "".join(draw(st.lists(_text, max_size=3)))
    match draw(st.sampled_from(("text", "reasoning", "cut call", "call", "call", "call"))):
        case "text":
            return TextPart(text=text)
        case "reasoning":
            return ReasoningPart(text=text)
        case kind:
            return ToolCallPart(call_id=call_id, name="search", arguments=text, cut=kind == "cut call")


class Teller:
    """Tells one run, as it is drawn.

    Args:
        store: Where it happens.
        order: The run, accepted.
        data: What decides.
    """

    def __init__(self, store: Stores, order: RunOrder, data: st.DataObject) -> None:
        self._store = store
        self._data = data
        self._clock = 0
        self.history = History(order)

    async def tell(self) -> History:
        """The whole run."""
        run_id = self.history.order.run_id
        for step in range(1, 1 + self._draw(st.integers(0, 3) | st.integers(2, 3), "steps")):
            reply = await self._step(step)
            waits = bool(reply.message.calls) and self._draw(st.booleans(), "the step pauses")
            if waits and not await self._pause(step, reply.message):
                break
            for part in reply.message.calls:
                if self._whether(f"{part.call_id} is run or answered"):
                    await self._run_tool(tool_call(run_id, step, part))
        else:
            if self._draw(st.booleans(), "the run ends within a step"):
                await self._open_step(len(self.history.replies) + 1)
        outcome = self._draw(st.sampled_from(OUTCOMES), "outcome")
        end = finish(run_id, outcome, turn=self.history.turn)
        results = [(await self._store.runs.finish(end, self._now()))[0] for _ in range(2)]
        assert results[0] == results[1]
        self.history.end = results[0]
        return self.history

    def _draw(self, strategy: st.SearchStrategy[T], what: str) -> T:
        return self._data.draw(strategy, label=what)

    def _whether(self, what: str) -> bool:
        return self._draw(_usually, what)

    def _now(self) -> datetime:
        self._clock += 1
        return at(self._clock + self._clock * 37 % 1000 / 1000)

    def _message(self, step: int) -> Message:
        call_ids = [
            f"{step}:{index}"
            for index in range(self._draw(st.integers(0, 4) | st.integers(2, 4), f"parts of message {step}"))
        ]
        return answer(*(self._draw(_parts(call_id), "part") for call_id in call_ids))

    async def _open_step(self, step: int) -> ModelCall:
        said = tuple(Said(text=text, by="ann") for text in self._draw(_texts, f"said before step {step}"))
        call = ModelCall(run_id=self.history.order.run_id, step=step, said=said)
        for _ in range(self._draw(st.integers(1, 3), f"lost attempts of step {step}")):
            attempt = await self._store.begin(call, self._now())
            await self._store.babble(call, attempt, self._draw(_texts, "written by it"))
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
        edited = self._draw(st.sampled_from([None, '{"q":"safe"}']), "edited arguments")
        for _ in range(self._draw(st.integers(0, 2), f"lost attempts of {call.call_id}")):
            attempt = await self._store.calls.begin(call, edited, Taker("worker", self._now()))
            for index in range(self._draw(st.integers(0, 3), "progress of it")):
                await self._store.calls.progress(call, attempt.number, index, {"at": [index, None]}, self._now())
        result = Answer(call_id=call.call_id, name=call.name, status="ok", content="".join(TEXTS))
        ends = self._draw(st.sampled_from(("open", "answered", "completed", "completed")), f"{call.call_id} ends")
        if ends == "completed":
            attempt = await self._store.calls.begin(call, edited, Taker("worker", self._now()))
            self.history.outcomes.append(
                await self._store.calls.complete(call, result, None, attempt.number, self._now())
            )
        elif ends == "answered":
            self.history.outcomes += await self._store.calls.answer(call.run_id, [result], self._now())

    async def _pause(self, step: int, message: Message) -> bool:
        """Pause for all calls; false if the run ends before all are decided."""
        question = pause(self.history.order.run_id, step, message, turn=self.history.turn)
        results = [await self._store.approvals.pause(question, self._now()) for _ in range(2)]
        assert results[0] == results[1]
        self.history.pauses.append(results[0])
        pending = [call.call_id for call in message.calls]
        while pending:
            if not self._whether(f"{' '.join(pending[:2])} are decided"):
                return False
            some, pending = pending[:2], pending[2:]
            expired = tuple(some) if self._draw(st.booleans(), "they expire") else ()
            decisions = () if expired else tuple(self._decision(call_id) for call_id in some)
            verdicts = Verdicts(
                run_id=self.history.order.run_id,
                step=step,
                turn=self.history.turn,
                decisions=decisions,
                expired=expired,
                resume=not pending,
            )
            recorded = [await self._store.approvals.record(verdicts, self._now()) for _ in range(2)]
            assert recorded[0] == recorded[1]
            self.history.recorded.append(recorded[0])
        return True

    def _decision(self, call_id: str) -> Decision:
        verdict = self._draw(st.sampled_from(_VERDICTS), f"decision of {call_id}")
        return Decision(call_id=call_id, decision=verdict, args={"q": 1}, answer="42", by="ann", id=call_id)
