from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from longrun.client import Line
from longrun.demo import proofs
from longrun.demo.proofs import Cut, Kill, Proof, Wipe
from longrun.demo.reviewer import Review, laid_out
from longrun.workflows.contract.events import (
    ApprovalDecided,
    AttemptSuperseded,
    Event,
    MessageCompleted,
    ReasoningCompleted,
    ReasoningDelta,
    RunCompleted,
    StepStarted,
    TextCompleted,
    TextDelta,
    ToolCallCompleted,
    ToolCallDelta,
)
from longrun.workflows.contract.messages import Usage
from longrun.workflows.contract.runs import Decision, Verdict
from tests.build import START

KILL = Kill(pid=10, seq=8, step=2, seconds=5.5, successor=11)
CUT = Cut(after=3, missed=5, first=4)


def lines(events: Sequence[Event]) -> list[Line]:
    """Events as a reader gets them, numbered from 1."""
    numbered = [event.model_copy(update={"seq": seq}) for seq, event in enumerate(events, 1)]
    return [Line(event.seq or 0, event.type, event.model_dump_json(by_alias=True)) for event in numbered]


def raw(received: Sequence[Line]) -> bytes:
    """The stream that consists of these lines."""
    return "".join(f"id: {line.seq}\nevent: {line.type}\ndata: {line.data}\n\n" for line in received).encode()


def started(step: int) -> Event:
    return StepStarted(run_id="r", step=step, at=START, model="scripted/demo")


def text(step: int, delta: str, message: str) -> Event:
    return TextDelta(run_id="r", step=step, at=START, message_id=message, part=0, delta=delta)


def text_of(step: int, text: str, message: str) -> Event:
    return TextCompleted(run_id="r", step=step, at=START, message_id=message, part=0, text=text)


def whole(step: int, message: str) -> Event:
    return MessageCompleted(
        run_id="r", step=step, at=START, message_id=message, finish_reason="stop", usage=Usage(input_tokens=1)
    )


def story() -> list[Event]:
    """Two steps: thoughts and a call that a reviewer approves, and a text that is attempt twice."""
    called = {"run_id": "r", "step": 1, "at": START, "message_id": "a", "part": 1, "call_id": "c", "name": "write_file"}
    return [
        started(1),
        ReasoningDelta(run_id="r", step=1, at=START, message_id="a", part=0, delta="Hm"),
        ReasoningCompleted(run_id="r", step=1, at=START, message_id="a", part=0, text="Hm"),
        ToolCallDelta.model_validate({**called, "delta": "{}"}),
        ToolCallCompleted.model_validate({**called, "arguments": "{}"}),
        whole(1, "a"),
        ApprovalDecided(run_id="r", step=1, at=START, call_id="c", decision="approve", by="bob", decision_id="d"),
        text(2, "The ans", "gone"),
        AttemptSuperseded(run_id="r", step=2, at=START, attempt=1, first=8, last=8),
        started(2),
        text(2, "The ", "b"),
        text(2, "answer", "b"),
        text_of(2, "The answer", "b"),
        whole(2, "b"),
        RunCompleted(run_id="r", at=START, stop_reason="end_turn", usage=Usage(), output="The answer"),
    ]


def without(kind: type[Event]) -> list[Event]:
    return [event for event in story() if not isinstance(event, kind)]


def changed(index: int, event: Event) -> list[Event]:
    return [*story()[:index], event, *story()[index + 1 :]]


def review(verdict: Verdict = "approve", *, early: bool = False) -> Review:
    decision = Decision(call_id="c", decision=verdict, by="bob", id="d")
    return Review("write_file", decision, 0.1, early)


def test_every_proof_holds_for_a_run_in_which_nothing_is_broken() -> None:
    received = lines(story())
    settled = raw(proofs.settled(received))
    found = [
        proofs.resumed(CUT),
        proofs.survived(KILL, received, exact=True),
        proofs.no_duplicates(received),
        proofs.one_log(received, raw(received)),
        proofs.decided([review()], received, 891),
        proofs.from_history(Wipe(9, 0, settled, settled), received),
    ]
    assert [proof.name for proof in found if not proof.held] == []
    assert "events 8 to 8 superseded" in found[1].figures
    assert found[2].figures == "2 steps, 3 model calls (1 interrupted); of 3 texts and calls 3 stand once and whole"


@pytest.mark.parametrize("cut", [replace(CUT, first=5), replace(CUT, first=3), replace(CUT, missed=0)])
def test_a_reader_that_comes_back_to_another_place_or_missed_nothing_proves_nothing(cut: Cut) -> None:
    assert not proofs.resumed(cut).held


@pytest.mark.parametrize(
    ("kill", "events"),
    [
        (replace(KILL, successor=KILL.pid), story()),
        (replace(KILL, successor=0), story()),
        (replace(KILL, seq=12), story()),
        (replace(KILL, step=1), story()),
        (KILL, without(AttemptSuperseded)),
        (KILL, [*story(), AttemptSuperseded(run_id="r", step=2, at=START, attempt=2, first=11, last=12)]),
        (KILL, without(MessageCompleted)),
        (KILL, [*story(), whole(2, "b")]),
    ],
    ids=["same worker", "no worker", "elsewhere", "other step", "no notice", "two", "no message", "two messages"],
)
def test_a_kill_that_left_another_trace_than_it_should_is_not_survived(kill: Kill, events: list[Event]) -> None:
    assert not proofs.survived(kill, lines(events), exact=True).held


def test_a_model_call_that_was_taken_up_again_needs_no_notice() -> None:
    assert proofs.survived(KILL, lines(without(AttemptSuperseded)), exact=False).held
    assert proofs.survived(KILL, lines(story()), exact=False).held


@pytest.mark.parametrize(
    "events",
    [
        without(AttemptSuperseded),
        [*story()[:12], text(2, "answer", "b"), *story()[12:]],
        changed(11, text(2, "", "b")),
        [*story()[:13], text_of(2, "The answer", "b"), *story()[13:]],
        without(MessageCompleted),
        [],
    ],
    ids=["attempt twice", "a delta twice", "a delta lost", "a part twice", "no message", "nothing"],
)
def test_a_sentence_that_stands_twice_or_in_part_is_noticed(events: list[Event]) -> None:
    assert not proofs.no_duplicates(lines(events)).held


def lost(received: list[Line]) -> list[Line]:
    return received[:3] + received[4:]


def twice(received: list[Line]) -> list[Line]:
    return received[:4] + received[3:]


def swapped(received: list[Line]) -> list[Line]:
    return [*received[:3], received[4], received[3], *received[5:]]


def unended(received: list[Line]) -> list[Line]:
    return received[:-1]


@pytest.mark.parametrize("broken", [lost, twice, swapped, unended])
def test_an_event_that_is_lost_or_comes_twice_or_out_of_order_is_noticed(
    broken: Callable[[list[Line]], list[Line]],
) -> None:
    received = broken(lines(story()))
    proof = proofs.one_log(received, raw(received))
    assert not proof.held
    assert ("NOT each once" in proof.figures) is (broken is not unended)


def test_a_live_reader_that_got_other_bytes_than_a_later_one_is_noticed() -> None:
    received = lines(story())
    assert not proofs.one_log(received, raw(received).replace(b"The answer", b"An answer")).held
    assert not proofs.one_log([], b"").held


@pytest.mark.parametrize(
    ("reviews", "events", "size"),
    [
        ([], without(ApprovalDecided), 891),
        ([review()], without(ApprovalDecided), 891),
        ([review(early=True)], story(), 891),
        ([review()], story(), None),
        ([review("deny")], story(), 891),
    ],
    ids=["not asked", "not followed", "written before", "never written", "written though denied"],
)
def test_a_call_that_did_not_do_as_the_reviewer_said_is_noticed(
    reviews: list[Review], events: list[Event], size: int | None
) -> None:
    assert not proofs.decided(reviews, lines(events), size).held


def test_a_denied_call_that_wrote_nothing_did_as_the_reviewer_said() -> None:
    proof = proofs.decided([review("deny")], lines(story()), None)
    assert proof.held
    assert proof.figures == "write_file: deny by bob, 0.1 s; report.md was not written"


def wiped(**fault: object) -> Proof:
    received = lines(story())
    settled = raw(proofs.settled(received))
    return proofs.from_history(replace(Wipe(9, 0, settled, settled), **fault), received)


def test_a_log_that_was_not_wiped_or_comes_back_otherwise_is_noticed() -> None:
    assert not wiped(rows=0).held
    assert not wiped(remaining=1).held
    other = wiped(after=b"")
    assert not other.held
    assert "OTHER 0 bytes" in other.figures
    unsettled = raw(lines(story()))
    assert not wiped(before=unsettled, after=unsettled).held


def test_arguments_are_laid_out_for_a_person() -> None:
    assert laid_out('{"path": "a.md", "content": "# A\\n\\nb", "count": 2}') == (
        "  path: a.md\n  content: \n    # A\n    \n    b\n  count: 2"
    )
    assert laid_out("[1]") == "[\n  1\n]"
    assert laid_out("no json") == "no json"
