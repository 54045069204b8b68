"""Things that many tests need: orders, messages, and a store with a run in it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlmodel import col, select

from longrun.runtime.ids import new_id
from longrun.store.agents import Agents
from longrun.store.approvals import Approvals
from longrun.store.attempts import Taker
from longrun.store.bindings import Bindings
from longrun.store.blobs import Blobs
from longrun.store.calls import Calls
from longrun.store.db.database import Committed, Database
from longrun.store.db.tables import MessageRow
from longrun.store.log_reader import LogReader
from longrun.store.messages import Messages
from longrun.store.runs import Acceptance, Runs
from longrun.store.step_attempts import StepAttempt
from longrun.store.steps import Steps
from longrun.workflows import positions
from longrun.workflows.contract.agents import AgentSpec
from longrun.workflows.contract.events import Event
from longrun.workflows.contract.messages import Message, Part, ReasoningPart, TextPart, ToolCallPart, Usage
from longrun.workflows.contract.requests import Finish, ModelCall, Pause, ToolCall
from longrun.workflows.contract.results import CallStarted, ModelReply, Result, Span
from longrun.workflows.contract.runs import Outcome, PendingApproval, RunOrder, StopReason
from longrun.workflows.deltas import PART_DONE, Attempt, played

START = datetime(2026, 3, 4, 5, 6, 7, 891000, tzinfo=UTC)
"""When the runs of tests are accepted."""
COMPLETED = Outcome(status="completed", stop_reason="end_turn")


def at(seconds: float) -> datetime:
    """So many seconds after the start."""
    return START + timedelta(seconds=seconds)


def agent(name: str = "helper", tools: Sequence[str] = ()) -> AgentSpec:
    """An agent with a scripted model."""
    return AgentSpec.model_validate({"name": name, "model": "scripted/echo", "tools": list(tools)})


def user(text: str = "hello") -> Message:
    """A user's message."""
    return Message(id=new_id(), role="user", parts=(TextPart(text=text),))


def order(thread_id: str | None = None, *, text: str = "hello", spec: AgentSpec | None = None) -> RunOrder:
    """What a new run is started with, on a thread of its own unless one is named."""
    run_id = new_id()
    return RunOrder(
        run_id=run_id,
        thread_id=thread_id or f"thread-{run_id}",
        agent=spec or agent(),
        input=user(text),
        metadata={"ticket": 7},
        accepted_at=START,
    )


def answer(*parts: Part) -> Message:
    """A model's message."""
    return Message(id=new_id(), role="assistant", parts=parts, provider="scripted/echo")


def says(text: str) -> Message:
    """A model's message of one text part."""
    return answer(TextPart(text=text))


def calls(*call_ids: str, tool: str = "search") -> Message:
    """A model's message that calls a tool, once per id."""
    return answer(*(ToolCallPart(call_id=call_id, name=tool, arguments='{"q": "é"}') for call_id in call_ids))


def marks(message: Message, size: int = 4) -> tuple[int, ...]:
    """The cut marks of a message whose deltas are ``size`` characters long."""
    found: list[int] = []
    for index, part in enumerate(message.parts):
        if isinstance(part, ToolCallPart):
            text = part.arguments
        elif isinstance(part, TextPart | ReasoningPart):
            text = part.text
        else:
            continue
        whole = [] if part.cut else [PART_DONE]
        found += [-index - 1, *(len(text[start : start + size]) for start in range(0, len(text), size)), *whole]
    return tuple(found)


def finish(run_id: str, outcome: Outcome = COMPLETED, *, turn: int = 1, usage: Usage | None = None) -> Finish:
    """The end of a run."""
    return Finish(run_id=run_id, turn=turn, outcome=outcome, usage=usage or Usage(input_tokens=3, output_tokens=5))


def failed(reason: StopReason = "error") -> Outcome:
    """A failure."""
    return Outcome(status="failed", stop_reason=reason)


def pause(run_id: str, step: int, message: Message, *, turn: int = 1) -> Pause:
    """A pause in which all calls of a message wait."""
    waiting = tuple(
        PendingApproval(call_id=call.call_id, name=call.name, arguments=call.arguments, step=step, reason="always")
        for call in message.calls
    )
    usage = Usage(input_tokens=1, output_tokens=2)
    return Pause(run_id=run_id, step=step, turn=turn, calls=waiting, expires_at=at(600), usage=usage)


def tool_call(run_id: str, step: int, part: ToolCallPart) -> ToolCall:
    """The order to run a call of a message."""
    return ToolCall(run_id=run_id, step=step, call_id=part.call_id, name=part.name)


@dataclass(frozen=True)
class Stores:
    """All parts of a store."""

    database: Database
    agents: Agents
    runs: Runs
    steps: Steps
    calls: Calls
    approvals: Approvals
    messages: Messages
    log: LogReader
    blobs: Blobs
    bindings: Bindings

    @classmethod
    def over(cls, url: str, committed: Committed | None = None) -> "Stores":
        """The parts over a database; whoever asked closes ``database``."""
        database = Database(url, committed)
        return cls(
            database,
            Agents(database),
            Runs(database),
            Steps(database),
            Calls(database),
            Approvals(database),
            Messages(database),
            LogReader(database),
            Blobs(database),
            Bindings(database),
        )

    async def accept(self, given: RunOrder | None = None) -> RunOrder:
        """Accept a run."""
        accepted = given or order()
        await self.runs.accept(Acceptance(accepted))
        return accepted

    async def messages_of(self, run_id: str) -> list[Message]:
        """The messages of one run, its input first."""
        query = select(col(MessageRow.body)).where(col(MessageRow.run_id) == run_id)
        async with self.database.session() as session:
            bodies = await session.exec(query.order_by(col(MessageRow.step), col(MessageRow.position)))
            return [Message.model_validate_json(body) for body in bodies]

    async def lines(self, run_id: str, after: int = 0, *, settled: bool = False, most: int = 500) -> list[bytes]:
        """The log after a seq, page by page."""
        found: list[bytes] = []
        while page := await self.log.page(run_id, after, most):
            for segment in page:
                found += [] if settled and segment.superseded else segment.lines(after)
                after = segment.last
        return found

    async def begin(self, call: ModelCall, now: datetime = START) -> StepAttempt:
        """Take the step for a new attempt."""
        return await self.steps.begin(call, "scripted/echo", Taker("worker-1", now))

    async def ask(self, call: ModelCall, message: Message, now: datetime = START) -> ModelReply:
        """A whole step, as the model activity writes it: started, streamed in batches of two events, completed."""
        return await self.stream(call, await self.begin(call, now), message, now)

    async def stream(
        self, call: ModelCall, attempt: StepAttempt, message: Message, now: datetime = START
    ) -> ModelReply:
        """What remains of a step that an attempt has started."""
        source = Attempt(call.run_id, call.step, attempt.author, now, message.id)
        events = list(played(source, message, marks(message)))
        spans: list[Span] = []
        for batch, start in enumerate(range(0, max(0, len(events) - 2), 2)):
            spans.append(await self.steps.append(attempt, batch, events[start : start + 2]))
        remaining = events[2 * len(spans) :]
        reply = draft(attempt, message, now)
        return await self.steps.complete(
            attempt, remaining, lambda last: reply.model_copy(update={"spans": (*spans, last)}), reply
        )

    async def babble(self, call: ModelCall, attempt: StepAttempt, texts: Iterable[str]) -> list[Span]:
        """What an attempt writes before it is lost: each text a batch."""
        source = Attempt(call.run_id, call.step, attempt.author, START, new_id())
        spans: list[Span] = []
        for batch, text in enumerate(texts):
            events: list[Event] = [source.delta(0, TextPart(text=""), text)]
            spans.append(await self.steps.append(attempt, batch, events))
        return spans


def draft(attempt: StepAttempt, message: Message, now: datetime = START) -> ModelReply:
    """The reply of an attempt, without its positions."""
    return ModelReply(
        step=attempt.step,
        message=message,
        finish_reason="tool_calls" if message.calls else "stop",
        usage=Usage(input_tokens=10, output_tokens=4),
        attempt=attempt.author,
        opened=attempt.opened,
        notices=attempt.notices,
        attempt_at=now,
        marks=marks(message),
        spans=(),
        completed_at=now + timedelta(seconds=1),
    )


def later(given: RunOrder, seconds: float) -> RunOrder:
    """The same order, accepted later."""
    return given.model_copy(update={"accepted_at": at(seconds)})


def retold(run_id: str, *results: Result, text: str = "", arguments: Mapping[str, str] | None = None) -> list[Event]:
    """The events of results and of those that they carry along.

    Args:
        run_id: The run.
        results: The results.
        text: The text of the run's last message.
        arguments: What the model has written for each call.
    """
    return [
        event
        for carrying in results
        for result in positions.unfolded(carrying)
        for event in positions.numbered(
            result, run_id, (arguments or {}).get(result.call_id, "") if isinstance(result, CallStarted) else text
        )
    ]
