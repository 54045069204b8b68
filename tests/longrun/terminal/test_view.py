from collections.abc import Sequence
from datetime import timedelta
from io import StringIO

import pytest
from rich.console import Console

from longrun.terminal.view import View
from longrun.terminal.wording import clean, counted, signature, whole
from longrun.workflows import record
from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.events import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalRequested,
    AttemptFailed,
    AttemptSuperseded,
    Event,
    MessageCompleted,
    MessageReceived,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunResumed,
    SignalIgnored,
    StepStarted,
    TextCompleted,
    TextDelta,
    ToolCompleted,
    ToolProgress,
    ToolStarted,
    TurnEnded,
)
from longrun.workflows.contract.messages import FinishReason, Message, ReasoningPart, TextPart, ToolCallPart, Usage
from longrun.workflows.contract.runs import PendingApproval
from longrun.workflows.deltas import PART_DONE, Attempt, played
from tests.build import START, answer, calls, order

RUN = "run-1"


def shown(events: Sequence[Event], *, terminal: bool = False, hint: str = "") -> str:
    """What a person sees of these events."""
    output = StringIO()
    console = Console(file=output, force_terminal=terminal, highlight=False, width=100, color_system=None)
    with View(console, hint) as view:
        for event in events:
            view.show(event)
    return output.getvalue()


def started(step: int = 1) -> StepStarted:
    return StepStarted(run_id=RUN, step=step, attempt=1, at=START, model="scripted/echo")


def events_of(message: Message, *marks: int) -> list[Event]:
    return list(played(Attempt(RUN, 1, 1, START, message.id), message, marks))


def text_delta(text: str, message_id: str = "m", part: int = 0) -> TextDelta:
    return TextDelta(run_id=RUN, step=1, attempt=1, at=START, message_id=message_id, part=part, delta=text)


def text_completed(text: str) -> TextCompleted:
    return TextCompleted(run_id=RUN, step=1, attempt=1, at=START, message_id="m", part=0, text=text)


def message_completed(reason: FinishReason) -> MessageCompleted:
    return MessageCompleted(run_id=RUN, step=1, at=START, message_id="m", finish_reason=reason, usage=Usage())


def tool_started(call_id: str, name: str = "search", arguments: str = '{"q": "é"}') -> ToolStarted:
    return ToolStarted(run_id=RUN, step=1, at=START, call_id=call_id, name=name, arguments=arguments)


def tool_completed(call_id: str, content: str) -> ToolCompleted:
    return ToolCompleted(run_id=RUN, step=1, at=START, call_id=call_id, name="search", status="ok", content=content)


def test_a_run_begins_with_its_agent_and_what_the_user_said() -> None:
    given = order("thread-7", text="Write\na   report")
    lines = shown([record.accepted(given)]).splitlines()
    assert lines == [f"run {given.run_id} · helper (scripted/echo) · thread thread-7", "> Write a report"]


def test_text_is_appended_as_it_comes_and_its_completion_ends_the_line() -> None:
    assert shown([text_delta("Hel"), text_delta("lo\n w"), text_delta("")]) == "Hello\n w\n"
    whole_part = [text_delta("Hello"), text_completed("Hello"), message_completed("stop")]
    assert shown([*whole_part, text_delta("Next", "n")]) == "Hello\nNext\n"


def test_reasoning_stands_on_lines_of_its_own() -> None:
    message = answer(ReasoningPart(text="let me see"), TextPart(text="Found it."))
    assert shown(events_of(message, -1, 3, 7, PART_DONE, -2, 9, PART_DONE)) == "let me see\nFound it.\n"


def test_a_part_that_came_without_deltas_is_shown_when_it_is_whole() -> None:
    assert shown([started(), text_completed("All at once")]) == "All at once\n"


def test_a_reader_who_comes_in_the_middle_of_a_part_sees_nothing_twice() -> None:
    assert shown([text_completed("read elsewhere"), message_completed("stop")]) == ""


def test_what_acts_on_a_terminal_or_hides_is_made_visible() -> None:
    assert shown([text_delta("a\x1b[2Jb\r\n\u202ec\x9b")]) == "a\ufffd[2Jb\n\ufffdc\ufffd\n"
    assert clean("tab\tkept \ud800") == "tab\tkept \ufffd"


def test_a_tool_call_is_shown_with_its_arguments_and_the_first_lines_of_its_result() -> None:
    content = "\n".join(f"line {number}" for number in range(8))
    events = [*events_of(calls("c1"), -1, 4, 6, PART_DONE), tool_started("c1"), tool_completed("c1", content)]
    assert shown(events).splitlines() == [
        '● search(q: "é")',
        "✓ search",
        *(f"  line {number}" for number in range(5)),
        "  … 3 more lines",
    ]


def test_a_long_line_of_a_result_is_cut() -> None:
    longest = max(shown([tool_completed("c1", "x" * 5000)]).splitlines(), key=len)
    assert longest.startswith("  xxx")
    assert longest.endswith("x…")
    assert len(longest) < 300


@pytest.mark.parametrize(("status", "line"), [("error", "✗ search: error"), ("denied", "✗ search: denied")])
def test_a_result_that_is_none_says_so(status: str, line: str) -> None:
    event = tool_completed("c1", "no").model_copy(update={"status": status})
    assert shown([event]).splitlines() == [line, "  no"]


def test_arguments_that_a_reviewer_changed_are_shown() -> None:
    events = [*events_of(calls("c1"), -1, 10, PART_DONE), tool_started("c1", arguments='{"q": "b"}')]
    assert shown(events).splitlines() == ['● search(q: "é")', '● with a reviewer\'s arguments: search(q: "b")']


def test_progress_names_its_tool() -> None:
    started = tool_started("c1")
    text = ToolProgress(run_id=RUN, step=1, at=START, call_id="c1", data="half")
    numbers = ToolProgress(run_id=RUN, step=1, at=START, call_id="other", data={"done": 3})
    assert shown([started, text, numbers]).splitlines() == ["  search: half", '  tool: {"done": 3}']


def test_superseded_text_is_followed_by_a_notice() -> None:
    superseded = AttemptSuperseded(run_id=RUN, step=1, at=START, attempt=1, first=3, last=9)
    lines = shown([text_delta("The answ"), superseded, text_delta("The answer", "n")]).splitlines()
    assert lines[0] == "The answ"
    assert "(events 3 to 9) no longer stands" in lines[1]
    assert lines[2] == "The answer"


def test_a_reset_says_what_it_has_taken_back() -> None:
    attempt = ToolStarted(run_id=RUN, step=1, at=START, call_id="c1", name="search", arguments="{}")
    superseded = RunResumed(run_id=RUN, at=START, turn=1, turn_id=RUN, first=3, last=9)
    next_turn = RunResumed(run_id=RUN, at=START, turn=2, turn_id="l")
    assert "reset: events 3 to 9 no longer stand" in shown([text_delta("The answ"), attempt, superseded])
    assert "reset" not in shown([attempt, next_turn])


def test_an_approval_names_the_call_the_reason_and_the_way_to_decide() -> None:
    call = PendingApproval(call_id="c1", name="write_file", arguments='{"path": "a"}', step=1, reason="always asks")
    bare = call.model_copy(update={"call_id": "c2", "reason": ""})
    event = ApprovalRequested(run_id=RUN, step=1, at=START, calls=(call, bare), expires_at=START)
    assert shown([text_delta("I write"), event], hint="review it").splitlines() == [
        "I write",
        "waits for approval until 2026-03-04 05:06 UTC:",
        '? write_file(path: "a")',
        "  call c1 · always asks",
        '? write_file(path: "a")',
        "  call c2",
        "  review it",
    ]


def test_decisions_say_who_and_why() -> None:
    denied = ApprovalDecided(run_id=RUN, step=1, at=START, call_id="c1", decision="deny", by="ann", reason="too\nlong")
    approved = ApprovalDecided(run_id=RUN, step=1, at=START, call_id="c2", decision="approve", by="bob")
    expired = ApprovalExpired(run_id=RUN, step=1, at=START, call_id="c3")
    assert shown([denied, approved, expired]).splitlines() == [
        "denied by ann: too long · call c1",
        "approved by bob · call c2",
        "nobody decided in time · call c3",
    ]


def test_what_else_happens_is_one_line_each() -> None:
    given = order(text="and this")
    events: list[Event] = [
        MessageReceived(run_id=RUN, step=2, at=START, message=given.input, by="ann"),
        TurnEnded(run_id=RUN, at=START, turn=1, turn_id=RUN, stop_reason="end_turn"),
    ]
    assert shown(events).splitlines() == [
        "> and this (said by ann)",
    ]


def test_an_unusual_end_of_a_message_is_told() -> None:
    assert "(the model refused)" in shown([message_completed("refusal")])
    assert shown([message_completed("tool_calls")]) == ""


def test_the_end_says_how_why_and_what_it_cost() -> None:
    usage = Usage(input_tokens=1200, output_tokens=34)
    completed = RunCompleted(run_id=RUN, at=START, stop_reason="end_turn", usage=usage, output="done")
    assert shown([text_delta("done"), completed]) == "done\ncompleted (end_turn) · tokens: 1,200 in, 34 out\n"
    cancelled = RunCancelled(run_id=RUN, at=START, usage=Usage(), reason="enough", by="ann")
    assert shown([cancelled]) == "cancelled by ann: enough · tokens: unknown\n"
    error = ErrorInfo(type="llm_api_error", message="no credit")
    failed = RunFailed(run_id=RUN, at=START, stop_reason="llm_api_error", usage=Usage(input_tokens=1), error=error)
    assert shown([failed]) == "llm_api_error: no credit\nfailed (llm_api_error) · tokens: 1 in\n"


def test_a_terminal_sees_what_goes_on_and_gets_its_cursor_back() -> None:
    two = calls("c1", "c2")
    events = [
        started(),
        *events_of(two, -1, 10, PART_DONE, -2, 10, PART_DONE),
        tool_started("c1"),
        tool_started("c2"),
        tool_completed("c1", "one"),
    ]
    output = shown(events, terminal=True)
    assert "asking scripted/echo" in shown(events[:1], terminal=True)
    for activity in ("writing a call of search", "running search, search"):
        assert activity in output
    assert output.rindex("\x1b[?25l") < output.rindex("\x1b[?25h")


def test_without_a_terminal_nothing_turns() -> None:
    assert shown([started(), tool_started("c1")]) == ""


def test_calls_are_written_so_that_they_can_be_read() -> None:
    assert signature("f", "not json") == "f(not json)"
    assert signature("f", "[1]") == "f([1])"
    assert signature("f", '{"a": "' + "x" * 1000 + '"}', 20) == 'f(a: "xxxxxxxxxxxxx…'
    assert whole('{"a": 1}') == '{\n  "a": 1\n}'
    assert whole("{\x1b") == "{\ufffd"
    assert counted(Usage(output_tokens=5)) == "tokens: 5 out"
    part = ToolCallPart(call_id="c", name="f", arguments="{}")
    assert shown(events_of(answer(part), -1, 2, PART_DONE)) == "● f()\n"


def test_a_failed_attempt_is_shown_while_it_waits_and_so_is_a_signal_that_changes_nothing() -> None:
    cause = ErrorInfo(type="llm_api_error", message="no route to host")
    failed = AttemptFailed(
        run_id=RUN, step=1, attempt=2, at=START, cause=cause, next_at=START + timedelta(milliseconds=2500)
    )
    ignored = SignalIgnored(run_id=RUN, step=1, at=START, signal="decide", reason="call_id: Field required")
    assert shown([failed, ignored]).splitlines() == [
        "attempt 2 failed: no route to host; the next one begins in 2.5 s",
        "a signal 'decide' changes nothing: call_id: Field required",
    ]
