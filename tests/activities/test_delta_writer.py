"""From a provider's deltas to the log: at once where nobody waits, merged where a commit is under way, exact always."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from longrun.activities.delta_writer import LARGEST_MESSAGE, LARGEST_OPAQUE, MOST_PARTS, DeltaWriter
from longrun.activities.failures import ProviderFailure
from longrun.activities.providers.provider import Completed, Delta, PartCompleted, PartDelta, PartStarted
from longrun.store.log import FencedError
from longrun.workflows.contract.attempts import ResumePoint
from longrun.workflows.contract.events import Event, TextDelta, ToolCallCompleted, ToolCallDelta
from longrun.workflows.contract.messages import OpaquePart, ReasoningPart, TextPart, ToolCallPart, Usage
from longrun.workflows.contract.results import Span
from longrun.workflows.deltas import Attempt, played
from tests.build import START
from tests.harness import until
from tests.provider_fake import Gate

ATTEMPT = Attempt("run-1", 3, 2, START, "0190-message-id")


@dataclass
class Log:
    """Takes batches, each one when its gate is open; what is ``refused`` is raised."""

    gate: Gate = field(default_factory=Gate)
    refused: Exception | None = None
    batches: list[list[Event]] = field(default_factory=list[list[Event]])
    resume_points: list[ResumePoint | None] = field(default_factory=list["ResumePoint | None"])

    async def append(self, batch: int, events: Sequence[Event], resume_point: ResumePoint | None) -> Span:
        assert batch == len(self.batches) + 1
        self.batches.append(list(events))
        self.resume_points.append(resume_point)
        if self.refused:
            raise self.refused
        await self.gate.passed()
        first = sum(len(before) for before in self.batches[:-1]) + 1
        return Span(first=first, last=first + len(events) - 1)

    async def has(self, batches: int) -> None:
        """Wait for so many batches."""

        async def look() -> bool:
            return len(self.batches) >= batches

        await until(look, f"{batches} batches")


@pytest.fixture
def log() -> Log:
    return Log()


def put(writer: DeltaWriter, *deltas: Delta) -> None:
    for delta in deltas:
        writer.put(delta)


def texts(events: Sequence[Event]) -> list[str]:
    return [event.delta for event in events if isinstance(event, TextDelta | ToolCallDelta)]


def spoken(number: int, *pieces: str) -> list[Delta]:
    """A text part from its start to its end."""
    deltas = [PartDelta(number, piece) for piece in pieces]
    return [PartStarted(number, "text"), *deltas, PartCompleted(number, TextPart(text="".join(pieces)))]


async def test_the_first_delta_goes_alone_and_those_that_wait_for_it_go_together(log: Log) -> None:
    writer = DeltaWriter(ATTEMPT, log.append)
    put(writer, PartStarted(0, "text"), PartDelta(0, "One "))
    await log.gate.reached.wait()
    put(writer, PartDelta(0, "two "), PartDelta(0, "three "))
    log.gate.open()
    await log.has(2)
    put(writer, PartDelta(0, "four"))
    await log.has(3)
    await writer.stop()
    assert [texts(batch) for batch in log.batches] == [["One "], ["two three "], ["four"]]
    assert writer.spans == [Span(first=seq, last=seq) for seq in (1, 2, 3)]


async def test_deltas_of_two_parts_keep_their_order_and_are_not_mixed(log: Log) -> None:
    writer = DeltaWriter(ATTEMPT, log.append)
    put(writer, PartStarted(0, "tool_call", "a", "look"), PartStarted(1, "tool_call", "b", "look"))
    for part, piece in ((0, '{"x"'), (0, ": "), (1, '{"y"'), (0, "1}"), (1, ": 2}")):
        writer.put(PartDelta(part, piece))
    waiting = await writer.last()
    assert log.batches == []
    assert texts(waiting) == ['{"x": ', '{"y"', "1}", ": 2}"]
    assert [event.call_id for event in waiting if isinstance(event, ToolCallDelta)] == ["a", "b", "a", "b"]


async def test_the_message_and_its_marks_say_again_what_was_written(log: Log) -> None:
    log.gate.open()
    writer = DeltaWriter(ATTEMPT, log.append)
    put(
        writer,
        PartStarted(0, "reasoning"),
        PartDelta(0, "Hm"),
        PartCompleted(0, ReasoningPart(text="Hm", opaque={"signature": "s"})),
        PartCompleted(1, OpaquePart(opaque={"redacted": "r"})),
        *spoken(2, "Well, ", "", "yes."),
    )
    await log.has(1)
    put(writer, PartStarted(3, "tool_call", "c1", "look"), PartDelta(3, "{}"))
    await log.has(2)
    put(writer, PartCompleted(3, ToolCallPart(call_id="c1", name="look", arguments="{}")))
    put(writer, Completed("tool_calls", Usage(input_tokens=1)))
    last = await writer.last()
    message = writer.message("scripted/x")
    written = [event for batch in log.batches for event in batch] + last
    assert list(played(ATTEMPT, message, writer.marks)) == written
    assert [part.type for part in message.parts] == ["reasoning", "opaque", "text", "tool_call"]
    assert message.parts[0] == ReasoningPart(text="Hm", opaque={"signature": "s"})
    assert (message.id, message.provider, message.text) == (ATTEMPT.message_id, "scripted/x", "Well, yes.")
    assert writer.completed == Completed("tool_calls", Usage(input_tokens=1))


async def test_parts_that_have_not_ended_are_marked_as_cut(log: Log) -> None:
    writer = DeltaWriter(ATTEMPT, log.append)
    put(writer, *spoken(0, "Whole."), PartStarted(1, "text"), PartDelta(1, "Ha"))
    put(writer, PartStarted(2, "tool_call", "c1", "look"), PartDelta(2, '{"wh'))
    await writer.stop()
    assert writer.message("m").parts == (
        TextPart(text="Whole."),
        TextPart(text="Ha", cut=True),
        ToolCallPart(call_id="c1", name="look", arguments='{"wh', cut=True),
    )


async def test_a_call_id_that_is_taken_or_missing_is_replaced_everywhere(log: Log) -> None:
    writer = DeltaWriter(ATTEMPT, log.append, frozenset({"call_1"}))
    for number, given in enumerate(("call_1", "call_2", "call_2", "")):
        put(writer, PartStarted(number, "tool_call", given, "look"), PartDelta(number, "{}"))
        put(writer, PartCompleted(number, ToolCallPart(call_id=given, name="look", arguments="{}")))
    events = await writer.last()
    ids = [call.call_id for call in writer.message("m").calls]
    assert ids[1] == "call_2"
    assert len({*ids, "call_1"}) == 5
    assert ids[3].startswith("call_")
    assert [event.call_id for event in events if isinstance(event, ToolCallDelta)] == ids
    assert [event.call_id for event in events if isinstance(event, ToolCallCompleted)] == ids


@pytest.mark.parametrize("given", ["..", ".", "a/../b", "c" * 1001, "漢" * 400])
async def test_a_call_id_that_no_path_or_no_database_takes_is_replaced(log: Log, given: str) -> None:
    ids: list[str] = []
    for other in (given, f"{given}x"):
        writer = DeltaWriter(ATTEMPT, log.append)
        put(writer, PartStarted(0, "tool_call", other, "look"), PartDelta(0, "{}"))
        put(writer, PartCompleted(0, ToolCallPart(call_id=other, name="look", arguments="{}")))
        await writer.last()
        ids += [call.call_id for call in writer.message("m").calls]
    assert ids[0] != given
    assert len(set(ids)) == 2
    assert all(len(made.encode()) <= 1000 for made in ids)
    assert ".." not in ids[0].split("/")


async def test_a_message_of_too_many_parts_or_with_too_much_hidden_is_refused_for_good(log: Log) -> None:
    writer = DeltaWriter(ATTEMPT, log.append)
    for number in range(MOST_PARTS):
        writer.put(PartStarted(number, "tool_call", f"c{number}", "look"))
    with pytest.raises(ProviderFailure, match=f"more than {MOST_PARTS} parts"):
        writer.put(PartStarted(MOST_PARTS, "text"))
    await writer.stop()
    writer = DeltaWriter(ATTEMPT, log.append)
    with pytest.raises(ProviderFailure, match="hides more than"):
        writer.put(PartCompleted(0, OpaquePart(opaque={"data": "x" * LARGEST_OPAQUE})))
    await writer.stop()


async def test_a_message_that_is_too_large_is_refused_for_good(log: Log) -> None:
    writer = DeltaWriter(ATTEMPT, log.append)
    put(writer, PartStarted(0, "text"), PartDelta(0, "x" * LARGEST_MESSAGE))
    with pytest.raises(ProviderFailure, match=f"longer than {LARGEST_MESSAGE} characters") as failed:
        writer.put(PartDelta(0, "y"))
    await writer.stop()
    assert failed.value.kind == "fatal"


async def test_a_part_that_is_not_what_its_deltas_said_is_refused(log: Log) -> None:
    writer = DeltaWriter(ATTEMPT, log.append)
    put(writer, PartStarted(0, "text"), PartDelta(0, "Yes."))
    with pytest.raises(ProviderFailure, match="not what its stream said") as failed:
        writer.put(PartCompleted(0, TextPart(text="No.")))
    await writer.stop()
    assert failed.value.kind == "invalid"


async def test_a_write_that_is_refused_is_raised_at_the_next_delta(log: Log) -> None:
    log.refused = FencedError("overtaken")
    writer = DeltaWriter(ATTEMPT, log.append)
    put(writer, PartStarted(0, "text"), PartDelta(0, "more"))
    await log.has(1)
    with pytest.raises(FencedError):
        writer.put(PartDelta(0, "and more"))


async def test_a_write_that_is_refused_at_the_end_is_raised_there(log: Log) -> None:
    log.refused = FencedError("overtaken")
    writer = DeltaWriter(ATTEMPT, log.append)
    put(writer, PartStarted(0, "text"), PartDelta(0, "more"))
    await log.has(1)
    with pytest.raises(FencedError):
        await writer.last()


async def test_stopping_lets_the_commit_under_way_end_and_begins_no_other(log: Log) -> None:
    writer = DeltaWriter(ATTEMPT, log.append)
    put(writer, PartStarted(0, "text"), PartDelta(0, "One "))
    await log.gate.reached.wait()
    put(writer, PartDelta(0, "two"))
    stopping = asyncio.create_task(writer.last())
    await asyncio.sleep(0)
    assert not stopping.done()
    log.gate.open()
    assert texts(await stopping) == ["two"]
    assert [texts(batch) for batch in log.batches] == [["One "]]
    assert writer.spans == [Span(first=1, last=1)]
