"""What a history kept of a run: the results of its activities, and up to where nothing can be added any more."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from longrun.workflows.contract.runs import RunOrder
from longrun.workflows.contract.steps import Finished, ModelReply, Paused, Recorded, Reopened, ToolOutcome

_PAUSE_EVENTS = 3
_END_EVENTS = 2


@dataclass
class Results:
    """Collected while the history is read from its beginning. Of two results for one thing the first one counts.

    ``executions`` are those that were read. ``reopened`` are the resets, by the seqs of their notices.
    ``order`` is what the run was started with, ``None`` if the history's beginning is gone. ``asked`` are the steps
    and calls that were asked for and have no result yet, with the attempt up to which they may have begun. ``settled``
    is the last seq before which all is known that ever will be: nothing was under way when it was written, so a place
    there that no result names is lost for good.
    """

    run_id: str
    order: RunOrder | None = None
    queue: str = ""
    executions: list[str] = field(default_factory=list[str])
    reopened: dict[int, Reopened] = field(default_factory=dict[int, Reopened])
    replies: dict[int, ModelReply] = field(default_factory=dict[int, ModelReply])
    outcomes: dict[str, ToolOutcome] = field(default_factory=dict[str, ToolOutcome])
    pauses: dict[int, Paused] = field(default_factory=dict[int, Paused])
    verdicts: dict[int, Recorded] = field(default_factory=dict[int, Recorded])
    finished: Finished | None = None
    asked: dict[int | str, int] = field(default_factory=dict[int | str, int])
    settled: int = 0
    _top: int = 0

    def begin(self, order: RunOrder, queue: str) -> None:
        """The run was started."""
        self.order, self.queue = order, queue
        self._settle(1)

    def ask(self, what: int | str, attempt: int = 1) -> None:
        """A step (its number) or a call (its id) is under way, in this attempt or a later one."""
        self.asked[what] = max(attempt, self.asked.get(what, 1))

    def reply(self, step: int, reply: ModelReply) -> None:
        """A step has its message."""
        self.reopen(reply.begin.reopened)
        self.replies.setdefault(step, reply)
        self.asked.pop(step, None)
        self._settle(reply.spans[-1].last)

    def outcome(self, outcomes: Iterable[ToolOutcome]) -> None:
        """Calls have their results."""
        for outcome in outcomes:
            self.outcomes.setdefault(outcome.call_id, outcome)
            self.asked.pop(outcome.call_id, None)
            self._settle(outcome.completed.first)

    def pause(self, paused: Paused) -> None:
        """A turn has ended."""
        self.pauses.setdefault(paused.pause.turn, paused)
        self._settle(paused.stamp.first + _PAUSE_EVENTS - 1)

    def record(self, recorded: Recorded) -> None:
        """Verdicts were written."""
        verdicts = recorded.verdicts
        count = len(verdicts.decisions) + len(verdicts.expired) + int(verdicts.resume)
        self.verdicts.setdefault(recorded.stamp.first, recorded)
        self._settle(recorded.stamp.first + count - 1)

    def finish(self, finished: Finished) -> None:
        """The run has ended."""
        self.reopen(finished.reopened)
        for thing in finished.unheard:
            self._hear(thing, (finished.finish.answered or 0) + 1)
        self.finished = self.finished or finished
        self.asked.clear()
        self._settle(finished.stamp.first + _END_EVENTS - 1)

    def _hear(self, thing: ModelReply | ToolOutcome | Paused | Recorded, step: int) -> None:
        """Something of which only the end told; a message is that of this step."""
        if isinstance(thing, ModelReply):
            self.reply(step, thing)
        elif isinstance(thing, ToolOutcome):
            self.outcome([thing])
        elif isinstance(thing, Paused):
            self.pause(thing)
        else:
            self.record(thing)

    def reopen(self, reopened: Iterable[Reopened]) -> None:
        """Resets have taken back what the run had done."""
        for gone in reopened:
            self.reopened[gone.notice.first] = gone
            self._settle(gone.notice.first)

    def _settle(self, seq: int) -> None:
        self._top = max(self._top, seq)
        if not self.asked:
            self.settled = self._top

    @property
    def resets(self) -> tuple[Reopened, ...]:
        """The resets whose notices stand, in order: a later one may have taken back an earlier one's."""
        told = [self.reopened[seq] for seq in sorted(self.reopened)]
        return tuple(r for r in told if not any(gone.first <= r.notice.first <= gone.last for gone in told))

    @property
    def resumed(self) -> list[Recorded]:
        """The verdicts that began a turn, in order."""
        return [self.verdicts[seq] for seq in sorted(self.verdicts) if self.verdicts[seq].verdicts.resume]

    @property
    def waiting(self) -> bool:
        """Whether the last thing that happened is a pause."""
        return len(self.pauses) > len(self.resumed)

    @property
    def arguments(self) -> dict[str, str]:
        """The model's text for each call."""
        return {part.call_id: part.arguments for reply in self.replies.values() for part in reply.message.calls}

    @property
    def output(self) -> str:
        """The text of the last message."""
        return self.replies[max(self.replies)].message.text if self.replies else ""
