"""Runs as they should be observed, told by the product's own functions: what the checker must find no fault with."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from longrun.workflows import record
from longrun.workflows.contract.attempts import AttemptEntry
from longrun.workflows.contract.events import TERMINAL, Event, encode, number, type_of
from longrun.workflows.contract.messages import FinishReason, Message, ReasoningPart, TextPart, ToolCallPart, Usage
from longrun.workflows.contract.requests import Verdicts
from longrun.workflows.contract.results import (
    CallStarted,
    Finished,
    ModelReply,
    Paused,
    Recorded,
    Result,
    Span,
    Stamp,
    StepOpened,
    Superseded,
    ToolOutcome,
)
from longrun.workflows.contract.runs import Cancel, Decision, Outcome
from longrun.workflows.deltas import Attempt, played
from tests.build import answer, at, finish, marks, order, pause
from tests.chaos.log import Log
from tests.chaos.observations import (
    Bill,
    CancelSent,
    Connection,
    DecisionSent,
    EffectSeen,
    ExpectedTool,
    Frame,
    PlannedTurn,
    RunObserved,
    RunRequest,
    View,
    Viewer,
    turn_text,
)

CALL = "call_0_0"
PAY = ExpectedTool("pay")
CANCELLED = Outcome(status="cancelled", stop_reason="cancelled", cancel=Cancel(by="ann"))
TERMINATED = Outcome(status="failed", stop_reason="terminated")
COST = Usage(input_tokens=20, output_tokens=10)


class Telling:
    """A log that grows, event by event."""

    def __init__(self) -> None:
        self.order = order()
        self.run_id = self.order.run_id
        self.lines: list[bytes] = []
        self.removed: set[int] = set()
        self.put(record.accepted(self.order))

    def put(self, *events: Event) -> Span:
        """Number the next events."""
        first = len(self.lines) + 1
        self.lines += [number(first + index, encode(event)) for index, event in enumerate(events)]
        return Span(first=first, last=len(self.lines))

    def begin(self, step: int) -> None:
        """Begin a step."""
        self._put(self._opened(step))

    def _opened(self, step: int) -> StepOpened:
        return StepOpened(step=step, stamp=Stamp(first=0, at=at(step)), model="openai/m")

    def _put(self, result: Result, text: str = "") -> None:
        self.put(*record.events(result, self.run_id, text))

    def stream(self, step: int, attempt: int, message: Message, most: int | None = None) -> Span:
        """The deltas and parts of a message, or the first of them."""
        said = Attempt(self.run_id, step, attempt, at(step), message.id)
        return self.put(*list(played(said, message, marks(message)))[:most])

    def supersede(self, step: int, attempt: int, span: Span) -> None:
        """Say that an attempt's text does not stand."""
        self.removed |= set(range(span.first, span.last + 1))
        stamp = Stamp(first=0, at=at(step))
        self._put(Superseded(step=step, attempt=attempt, first=span.first, last=span.last, stamp=stamp))

    def complete(self, step: int, attempt: int, message: Message, reason: FinishReason | None = None) -> None:
        """End a message."""
        reply = ModelReply(
            step=step,
            message=message,
            finish_reason=reason or ("tool_calls" if message.calls else "stop"),
            usage=Usage() if reason == "cancelled" else COST,
            attempt=attempt,
            opened=self._opened(step),
            attempt_at=at(step),
            marks=(),
            spans=(),
            completed_at=at(step),
        )
        self.put(record.message_completed(self.run_id, reply))

    def end(self, outcome: Outcome, *, turn: int = 1, steps: int = 0, output: str = "") -> None:
        """End the run after so many steps that stand."""
        usage = sum((COST for _ in range(steps)), Usage())
        end = finish(self.run_id, outcome, turn=turn, usage=usage)
        self._put(Finished(finish=end, turn_id=self._turn_id(turn), stamp=Stamp(first=0, at=at(90))), output)

    def _turn_id(self, turn: int) -> str:
        return record.turn_id(self.run_id, turn, at(50))

    def ask(self, message: Message) -> None:
        """Pause: the calls wait."""
        question = pause(self.run_id, 1, message)
        self._put(Paused(pause=question, turn_id=self.run_id, stamp=Stamp(first=0, at=at(40))))

    def agree(self, decision: Decision) -> None:
        """A person decides, and the run goes on."""
        verdicts = Verdicts(run_id=self.run_id, step=1, turn=1, decisions=(decision,), resume=True)
        self._put(Recorded(verdicts=verdicts, stamp=Stamp(first=0, at=at(50))))

    def run_tool(self, part: ToolCallPart) -> None:
        """A tool runs and is done."""
        stamp = Stamp(first=0, at=at(60))
        call = {"step": 1, "call_id": part.call_id, "name": part.name, "stamp": stamp}
        self._put(CallStarted.model_validate(call), part.arguments)
        self._put(ToolOutcome.model_validate({**call, "status": "ok", "content": "paid"}))

    def observed(self, **more: Any) -> RunObserved:  # noqa: ANN401 - the fields of RunObserved
        """The run, as three viewers and the pages show it."""
        settled = tuple(line for seq, line in enumerate(self.lines, 1) if seq not in self.removed)
        request = RunRequest(self.run_id, self.order.thread_id)
        raw = tuple(self.lines)
        run = RunObserved(request, watched(raw, self.removed), raw, settled, stored=raw, rebuilt=settled)
        return replace(run, **more)


def frames(lines: Iterable[bytes]) -> tuple[Frame, ...]:
    """Lines as a stream has them."""
    return tuple(Frame(json.loads(line)["seq"], type_of(line), line) for line in lines)


def connected(after: int, view: View | None, lines: Sequence[bytes]) -> Connection:
    """A connection that shows these lines, and ends if they do."""
    ends = bool(lines) and type_of(lines[-1]) in TERMINAL
    return Connection(after, view, frames(lines), "ended" if ends else "cut")


def watched(raw: Sequence[bytes], removed: Iterable[int]) -> tuple[Viewer, ...]:
    """What three viewers get of a log: one all of it, one in pieces, one from its middle and only what stands."""
    missing = set(removed)
    stands = [line for line in raw if json.loads(line)["seq"] not in missing]
    a, b = len(raw) // 3, len(raw) // 2
    seqs = [json.loads(line)["seq"] for line in raw]
    later = [line for line in stands if json.loads(line)["seq"] > seqs[b - 1]]
    pieces = (connected(0, None, raw[:a]), connected(seqs[a - 1], None, raw[a:b]), connected(seqs[b - 1], None, later))
    return (
        Viewer("whole", (connected(0, "raw", raw),)),
        Viewer("pieces", pieces),
        Viewer("late", (connected(3, "settled", [line for line in stands if json.loads(line)["seq"] > 3]),)),
    )


def retold(run: RunObserved, lines: Iterable[bytes], *, renumber: bool = True) -> RunObserved:
    """The run with another log, which all that read it agree on."""
    raw = tuple(_renumbered(list(lines)) if renumber else lines)
    removed = Log.of_lines(raw).removed
    settled = tuple(line for line in raw if json.loads(line)["seq"] not in removed)
    return replace(run, raw=raw, stored=raw, settled=settled, rebuilt=settled, viewers=watched(raw, removed))


def _renumbered(lines: Sequence[bytes]) -> Iterator[bytes]:
    """The lines, numbered by their positions; notices speak of the same events as before."""
    events = [json.loads(line) for line in lines]
    seqs = {event["seq"]: seq for seq, event in reversed(list(enumerate(events, 1)))}
    for seq, event in enumerate(events, 1):
        moved = {key: seqs.get(event[key], event[key]) for key in ("from", "to") if key in event}
        yield json.dumps({**event, **moved, "seq": seq}, separators=(",", ":"), ensure_ascii=False).encode()


def entry(step: int, attempt: int, **more: Any) -> AttemptEntry:  # noqa: ANN401 - the fields of AttemptEntry
    """An attempt that completed its message."""
    cost = {"tokens_in": COST.input_tokens, "tokens_out": COST.output_tokens}
    known = {"step": step, "attempt": attempt, "worker": "w", "started_at": at(step), "outcome": "completed", **cost}
    return AttemptEntry.model_validate({**known, **more})


def shown(status: str, usage: Usage, attempts: Sequence[AttemptEntry], again: int = 0, output: str = "") -> Any:  # noqa: ANN401
    """A run as the API shows it."""
    counted = [each for each in attempts if each.call_id is None]
    return {
        "status": status,
        "output": output,
        "usage": usage.model_dump(exclude_none=True),
        "attempts": [each.model_dump(mode="json") for each in attempts],
        "tokens_billed": sum((each.tokens_in or 0) + (each.tokens_out or 0) for each in counted),
        "tokens_rebilled": again,
    }


def billed(index: int, turn: int, **more: Any) -> Bill:  # noqa: ANN401 - the fields of Bill
    """A request that the provider answered whole."""
    cost = {"tokens_in": COST.input_tokens, "tokens_out": COST.output_tokens}
    return Bill.model_validate({"id": f"resp_{index}", "wire": "chat", "label": "l", "turn": turn, **cost, **more})


def paid() -> RunObserved:
    """A call waits for a person and has its effect; then an attempt is lost in its text, and the model asked again."""
    telling = Telling()
    part = ToolCallPart(call_id=CALL, name="pay", arguments='{"cents": 5}')
    first = answer(ReasoningPart(text=turn_text(0, 3, "r")), TextPart(text=turn_text(0, 6)), part)
    last = answer(TextPart(text=turn_text(1, 8)))
    telling.begin(1)
    telling.stream(1, 1, first)
    telling.complete(1, 1, first)
    telling.ask(first)
    telling.agree(Decision(call_id=CALL, decision="approve", by="ann", id="d1"))
    telling.run_tool(part)
    telling.begin(2)
    telling.supersede(2, 1, telling.stream(2, 1, answer(TextPart(text=turn_text(1, 8))), 5))
    telling.stream(2, 2, last)
    telling.complete(2, 2, last)
    telling.end(Outcome(status="completed", stop_reason="end_turn"), turn=2, steps=2, output=turn_text(1, 8))
    lost = entry(2, 1, outcome="lost", tokens_out=5, estimated=True)
    tool = entry(1, 1, call_id=CALL, tokens_in=None, tokens_out=None)
    attempts = (entry(1, 1), tool, lost, entry(2, 2, recovered="reissued"))
    run = telling.observed(
        run=shown("completed", COST + COST, attempts, 25, turn_text(1, 8)),
        bills=(billed(1, 0), billed(2, 1, tokens_out=7, status="abandoned"), billed(3, 1)),
        effects=(EffectSeen(CALL, 1),),
        decisions=(
            DecisionSent(CALL, "approve", "ann", "d1", "counted"),
            DecisionSent(CALL, "deny", "bob", "d2", "refused"),
            DecisionSent(CALL, "approve", "ann", "d1", "refused"),
        ),
        cancels=(CancelSent("ann", "over"),),
    )
    plan = (PlannedTurn(turn_text(0, 6), turn_text(0, 3, "r"), ("pay",)), PlannedTurn(turn_text(1, 8)))
    return replace(run, request=replace(run.request, plan=plan, tools=(PAY,)))


def reattached() -> RunObserved:
    """An attempt is lost in its text, and the next one goes on with it."""
    telling = Telling()
    message = answer(TextPart(text=turn_text(0, 12)))
    telling.begin(1)
    telling.stream(1, 1, message)
    telling.complete(1, 1, message)
    telling.end(Outcome(status="completed", stop_reason="end_turn"), steps=1, output=turn_text(0, 12))
    free = {"tokens_in": None, "tokens_out": None, "outcome": "lost"}
    attempts = (entry(1, 1, response_id="resp_1", **free), entry(1, 2, response_id="resp_1", recovered="reattached"))
    run = telling.observed(
        run=shown("completed", COST, attempts, output=turn_text(0, 12)),
        bills=(billed(1, 0, wire="responses", background=True, streams=2),),
    )
    return replace(run, request=replace(run.request, plan=(PlannedTurn(turn_text(0, 12)),), background=True))


def cancelled() -> RunObserved:
    """A cancel cuts the text."""
    telling = Telling()
    message = answer(TextPart(text=turn_text(0, 4), cut=True))
    telling.begin(1)
    telling.stream(1, 1, message)
    telling.complete(1, 1, message, "cancelled")
    telling.end(CANCELLED)
    run = telling.observed(
        run=shown("cancelled", Usage(), (entry(1, 1, outcome="cancelled", tokens_in=None, tokens_out=None),)),
        bills=(billed(1, 0, status="cancelled"),),
        cancels=(CancelSent("ann", "delivered", 4),),
    )
    return replace(run, request=replace(run.request, plan=(PlannedTurn(turn_text(0, 12)),)))


def reset() -> RunObserved:
    """A run is terminated in its text, reset, and goes on; the reset takes back all after the step's beginning."""
    telling = Telling()
    message = answer(TextPart(text=turn_text(0, 12)))
    telling.begin(1)
    telling.stream(1, 1, message, 4)
    first = len(telling.lines) - 3
    telling.end(TERMINATED)
    rewound = range(first, len(telling.lines) + 1)
    telling.removed |= set(rewound)
    fields = {"type": "run.resumed", "run_id": telling.run_id, "at": at(70).isoformat(), "turn": 1}
    resumed = {**fields, "turn_id": telling.run_id, "from": rewound[0], "to": rewound[-1]}
    telling.lines.append(number(len(telling.lines) + 1, json.dumps(resumed, separators=(",", ":")).encode()))
    telling.stream(1, 2, message)
    telling.complete(1, 2, message)
    telling.end(Outcome(status="completed", stop_reason="end_turn"), steps=1, output=turn_text(0, 12))
    attempts = (entry(1, 1, outcome="lost"), entry(1, 2, recovered="reissued"))
    run = telling.observed(
        run=shown("completed", COST, attempts, 30, turn_text(0, 12)),
        bills=(billed(1, 0), billed(2, 0)),
    )
    return replace(run, request=replace(run.request, plan=(PlannedTurn(turn_text(0, 12)),)))
