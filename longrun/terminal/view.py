"""A run's events on a console, for a person who watches."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

from longrun.client import AnyEvent, UnknownEvent
from longrun.terminal.wording import MOST_ARGUMENTS, clean, counted, shortened, signature
from longrun.workflows.contract.events import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalRequested,
    AttemptFailed,
    AttemptSuperseded,
    MessageCompleted,
    MessageReceived,
    ReasoningCompleted,
    ReasoningDelta,
    RunAccepted,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunResumed,
    SignalIgnored,
    StepStarted,
    TextCompleted,
    TextDelta,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCompleted,
    ToolProgress,
    ToolStarted,
)
from longrun.workflows.contract.messages import FinishReason, ResultStatus, Usage
from longrun.workflows.contract.runs import PendingApproval

_MOST_LINES = 5
_MOST_LINE = 240
_UNUSUAL: Mapping[FinishReason, str] = {
    "length": "the model was cut off: its answer became too long",
    "refusal": "the model refused",
    "content_filter": "the provider's filter ended the answer",
    "overflow": "the conversation no longer fits into the model's context",
}
_MARKS: Mapping[ResultStatus, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "error": ("✗", "red"),
    "denied": ("✗", "yellow"),
    "cancelled": ("✗", "yellow"),
}
_VERDICTS = {"approve": "approved", "deny": "denied", "edit": "approved with other arguments", "answer": "answered"}


class View:
    """Prints events in their order. A context manager, which stops the spinner at its end.

    On a terminal a spinner shows the present activity; elsewhere there is none.

    Args:
        console: The console.
        hint: How a person can decide the calls of an approval, as a line to show with it; empty for none.
        most: Characters that are shown of a call, and of a line of a result if that is less.
        lines: Lines that are shown of a result.
    """

    def __init__(self, console: Console, hint: str = "", most: int = MOST_ARGUMENTS, lines: int = _MOST_LINES) -> None:
        self._console = console
        self._hint = hint
        self._most = most
        self._most_lines = lines
        self._inline: str | None = None
        self._streamed: set[tuple[str, int]] = set()
        self._from_start = False
        self._running: dict[str, str] = {}
        self._called: dict[str, str] = {}
        self._status: Status | None = None
        self._shows: Mapping[str, Callable[[Any], None]] = {
            "run.accepted": self._run_started,
            "message.received": self._message_received,
            "step.started": self._step_started,
            "text.delta": self._text_delta,
            "reasoning.delta": self._reasoning_delta,
            "tool_call.delta": self._tool_call_delta,
            "text.completed": self._part_completed,
            "reasoning.completed": self._part_completed,
            "tool_call.completed": self._tool_call_completed,
            "message.completed": self._message_completed,
            "attempt.failed": self._attempt_failed,
            "attempt.superseded": self._attempt_superseded,
            "tool.started": self._tool_started,
            "tool.progress": self._tool_progress,
            "tool.completed": self._tool_completed,
            "approval.requested": self._approval_requested,
            "approval.decided": self._approval_decided,
            "approval.expired": self._approval_expired,
            "signal.ignored": self._signal_ignored,
            "run.resumed": self._run_resumed,
            "run.completed": self._run_completed,
            "run.failed": self._run_failed,
            "run.cancelled": self._run_cancelled,
        }

    def __enter__(self) -> Self:
        """The view itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the spinner."""
        self.pause()

    def show(self, event: AnyEvent) -> None:
        """Print the next event, if this version knows its type."""
        if not isinstance(event, UnknownEvent) and (show := self._shows.get(event.type)):
            show(event)

    def pause(self) -> None:
        """End the line and stop the spinner, before something else is written."""
        self._turn(None)
        self._end_line()

    def say(self, text: str, style: str = "dim") -> None:
        """Print a line that is not an event."""
        self._end_line()
        self._console.print(Text(clean(text), style), soft_wrap=True)

    def retrying(self, reason: str) -> None:
        """Show why an interrupted request is sent again."""
        self.say(f"{reason}; trying again", "yellow")

    def _turn(self, activity: str | None) -> None:
        """Show the present activity by a spinner under the text; ``None`` stops it."""
        if not self._console.is_terminal:
            return
        if activity is None:
            if self._status:
                self._status.stop()
                self._status = None
            return
        self._end_line()
        line = Text(clean(shortened(activity, self._console.width - 4)), "dim")
        if self._status:
            self._status.update(line)
        else:
            self._status = self._console.status(line)
            self._status.start()

    def _append(self, text: str, style: str) -> None:
        self._turn(None)
        if self._inline != style:
            self._end_line()
        self._inline = style if not text.endswith("\n") else None
        self._console.print(Text(clean(text), style), end="", soft_wrap=True)

    def _end_line(self) -> None:
        if self._inline is not None:
            self._inline = None
            self._console.print()

    def _run_started(self, event: RunAccepted) -> None:
        self._from_start = True
        self.say(f"run {event.run_id} · {event.agent.name} ({event.agent.model}) · thread {event.thread_id}")
        self.say(f"> {shortened(event.input.text, _MOST_LINE)}", "bold")

    def _message_received(self, event: MessageReceived) -> None:
        self.say(f"> {shortened(event.message.text, _MOST_LINE)} (said by {event.by})", "bold")

    def _step_started(self, event: StepStarted) -> None:
        self._from_start = True
        self._turn(f"asking {event.model}")

    def _text_delta(self, event: TextDelta) -> None:
        self._delta(event, "")

    def _reasoning_delta(self, event: ReasoningDelta) -> None:
        self._delta(event, "dim italic")

    def _delta(self, event: TextDelta | ReasoningDelta, style: str) -> None:
        self._streamed.add((event.message_id, event.part))
        if event.delta:
            self._append(event.delta, style)

    def _tool_call_delta(self, event: ToolCallDelta) -> None:
        self._turn(f"writing a call of {event.name}")

    def _part_completed(self, event: TextCompleted | ReasoningCompleted) -> None:
        seen = (event.message_id, event.part) in self._streamed
        # A reader that started in the middle of a part has read the first deltas elsewhere.
        if self._from_start and not seen and event.text:
            self._append(event.text, "" if event.type == "text.completed" else "dim italic")
        self._end_line()

    def _tool_call_completed(self, event: ToolCallCompleted) -> None:
        self._called[event.call_id] = event.arguments
        self._turn(None)
        self._end_line()
        self._console.print(Text.assemble(("● ", "cyan"), self._signature(event.name, event.arguments)), soft_wrap=True)

    def _signature(self, name: str, arguments: str) -> str:
        return signature(name, arguments, self._most)

    def _message_completed(self, event: MessageCompleted) -> None:
        self.pause()
        if why := _UNUSUAL.get(event.finish_reason):
            self.say(f"({why})", "yellow")

    def _attempt_failed(self, event: AttemptFailed) -> None:
        wait = max(0.0, (event.next_at - event.at).total_seconds())
        cause = shortened(event.cause.message, _MOST_LINE)
        self.say(f"attempt {event.attempt} failed: {cause}; the next one begins in {wait:.3g} s", "yellow")

    def _signal_ignored(self, event: SignalIgnored) -> None:
        self.say(f"a signal {event.signal!r} changes nothing: {shortened(event.reason, _MOST_LINE)}", "yellow")

    def _attempt_superseded(self, event: AttemptSuperseded) -> None:
        self.pause()
        what = f"what it had written (events {event.first} to {event.last}) no longer stands"
        self.say(f"↻ interrupted, and asked again: {what}", "yellow")

    def _run_resumed(self, event: RunResumed) -> None:
        if event.first is not None:
            self._running.clear()
            self.pause()
            self.say(f"↻ reset: events {event.first} to {event.last} no longer stand, and the run goes on", "yellow")

    def _tool_started(self, event: ToolStarted) -> None:
        self._running[event.call_id] = event.name
        if event.arguments != self._called.get(event.call_id, event.arguments):
            self.say(f"● with a reviewer's arguments: {self._signature(event.name, event.arguments)}", "cyan")
        self._turn_tools()

    def _turn_tools(self) -> None:
        self._turn(f"running {', '.join(self._running.values())}" if self._running else None)

    def _tool_progress(self, event: ToolProgress) -> None:
        data = event.data if isinstance(event.data, str) else json.dumps(event.data, ensure_ascii=False)
        self.say(f"  {self._running.get(event.call_id, 'tool')}: {shortened(data, _MOST_LINE)}")

    def _tool_completed(self, event: ToolCompleted) -> None:
        self._running.pop(event.call_id, None)
        self._end_line()
        mark, style = _MARKS[event.status]
        what = event.name if event.status == "ok" else f"{event.name}: {event.status}"
        self._console.print(Text.assemble((f"{mark} ", style), what), soft_wrap=True)
        self._lines(event.content.splitlines())
        self._turn_tools()

    def _lines(self, lines: list[str]) -> None:
        for line in lines[: self._most_lines]:
            most = min(self._most, _MOST_LINE)
            self.say(f"  {line if len(line) <= most else line[:most] + '…'}".rstrip())
        if len(lines) > self._most_lines:
            self.say(f"  … {len(lines) - self._most_lines} more lines")

    def _approval_requested(self, event: ApprovalRequested) -> None:
        self.pause()
        self.say(f"waits for approval until {event.expires_at:%Y-%m-%d %H:%M} UTC:", "bold yellow")
        self._waiting(event.calls)
        if self._hint:
            self.say(f"  {self._hint}")

    def _waiting(self, calls: Iterable[PendingApproval]) -> None:
        for call in calls:
            self.say(f"? {self._signature(call.name, call.arguments)}", "yellow")
            self.say(f"  call {call.call_id}{f' · {call.reason}' if call.reason else ''}")

    def _approval_decided(self, event: ApprovalDecided) -> None:
        self.pause()
        reason = f": {shortened(event.reason, _MOST_LINE)}" if event.reason else ""
        self.say(f"{_VERDICTS[event.decision]} by {event.by}{reason} · call {event.call_id}", "yellow")

    def _approval_expired(self, event: ApprovalExpired) -> None:
        self.say(f"nobody decided in time · call {event.call_id}", "yellow")

    def _run_completed(self, event: RunCompleted) -> None:
        self._end(f"completed ({event.stop_reason})", event.usage, "green")

    def _run_failed(self, event: RunFailed) -> None:
        self.pause()
        self.say(f"{event.error.type}: {event.error.message}", "red")
        self._end(f"failed ({event.stop_reason})", event.usage, "red")

    def _run_cancelled(self, event: RunCancelled) -> None:
        why = f": {shortened(event.reason, _MOST_LINE)}" if event.reason else ""
        self._end(f"cancelled by {event.by}{why}", event.usage, "yellow")

    def _end(self, how: str, usage: Usage, style: str) -> None:
        self._running.clear()
        self.pause()
        self.say(f"{how} · {counted(usage)}", style)
