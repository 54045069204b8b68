"""What must hold of a run's effects on the world, and of what people told it."""

from collections import Counter
from collections.abc import Iterator

from longrun.workflows.contract.events import (
    TERMINAL,
    ApprovalDecided,
    ApprovalRequested,
    RunCancelled,
    StepStarted,
    ToolCallCompleted,
    ToolCompleted,
    ToolStarted,
)
from tests.chaos.log import some
from tests.chaos.observations import DecisionSent, ExpectedTool, RunObserved


def effects_happen_once(run: RunObserved) -> Iterator[str]:
    """A call has its effect once, unless its tool says ``retry`` or a person said after its start to run it again."""
    names = {event.call_id: event.name for event in run.log.effective if isinstance(event, ToolCallCompleted)}
    for call_id, count in Counter(effect.call_id for effect in run.effects).items():
        if call_id not in names:
            yield f"call {call_id} had an effect, the log has no such call"
            continue
        tool = _tool(run, names[call_id])
        if tool.effect == "write" and tool.on_interrupted != "retry" and count > 1 + _again(run, call_id):
            yield f"call {call_id} of {tool.name} had its effect {count} times"


def _tool(run: RunObserved, name: str) -> ExpectedTool:
    return next((tool for tool in run.request.tools if tool.name == name), ExpectedTool(name))


def _again(run: RunObserved, call_id: str) -> int:
    """How often a person agreed to the call after it had started."""
    started = [e.seq for e in run.log.effective if isinstance(e, ToolStarted) and e.call_id == call_id]
    questions = _questions(run, call_id)
    agreed = [
        event.seq
        for event in run.log.effective
        if isinstance(event, ApprovalDecided) and event.call_id in questions and event.decision in {"approve", "edit"}
    ]
    return sum(seq > started[0] for seq in agreed) if started else 0


def _questions(run: RunObserved, call_id: str) -> set[str]:
    """The ids under which people were asked about a call: its own, and one for each time that it was interrupted."""
    calls = [c for e in run.log.effective if isinstance(e, ApprovalRequested) for c in e.calls]
    return {call_id, *(call.call_id for call in calls if call.interrupted == call_id)}


def results_had_their_effect(run: RunObserved) -> Iterator[str]:
    """A result that says ``ok`` of a tool with an effect comes from that effect, or from a person's answer."""
    done = {effect.call_id for effect in run.effects}
    given = {e.call_id for e in run.log.effective if isinstance(e, ApprovalDecided) and e.decision == "answer"}
    known = {tool.name for tool in run.request.tools if tool.effect == "write"}
    results = [e for e in run.log.effective if isinstance(e, ToolCompleted) and e.status == "ok" and e.name in known]
    for event in results:
        if event.call_id not in done and given.isdisjoint(_questions(run, event.call_id)):
            yield f"call {event.call_id} of {event.name} is ok and had no effect"


def counted_decisions_are_logged(run: RunObserved) -> Iterator[str]:
    """Whoever was told that a decision counts finds it in the log; whoever was refused does not."""
    logged = [event for event in run.log.life if isinstance(event, ApprovalDecided)]
    said = {(event.call_id, event.decision, event.by, event.decision_id) for event in logged}
    unsure = {_key(sent) for sent in run.decisions if sent.answered != "refused"}
    for sent in run.decisions:
        if sent.answered == "counted" and _key(sent) not in said:
            yield f"{sent.by} was told that {sent.decision} of {sent.call_id} counts, the log does not say so"
        if sent.answered == "refused" and _key(sent) in said - unsure:
            yield f"{sent.by} was told that {sent.decision} of {sent.call_id} is too late, it counts in the log"


def _key(sent: DecisionSent) -> tuple[str, str, str, str | None]:
    return (sent.call_id, sent.decision, sent.by, sent.id)


def one_decision_counts(run: RunObserved) -> Iterator[str]:
    """As many decisions were answered as counting as there were questions, and each in the log was sent by someone."""
    questions = Counter(c.call_id for e in run.log.life if isinstance(e, ApprovalRequested) for c in e.calls)
    counted: dict[str, set[tuple[str, str, str, str | None]]] = {}
    for sent in run.decisions:
        if sent.answered == "counted":
            counted.setdefault(sent.call_id, set()).add(_key(sent))
    for call_id, keys in counted.items():
        if len(keys) > questions[call_id]:
            yield f"{some(sorted(key[2] for key in keys))} were told that theirs counts for {call_id}"
    known = {_key(sent) for sent in run.decisions}
    for event in (event for event in run.log.life if isinstance(event, ApprovalDecided)):
        if (event.call_id, event.decision, event.by, event.decision_id) not in known:
            yield f"nobody sent the {event.decision} of {event.call_id} by {event.by}"


def cancels_are_final(run: RunObserved) -> Iterator[str]:
    """A run that took a cancel ends as cancelled, unless it was at its last step; no other run ends so."""
    end = next((event for event in run.log.life if event.type in TERMINAL), None)
    if end is None:
        return
    if isinstance(end, RunCancelled):
        if not any(sent.answered != "over" for sent in run.cancels):
            yield f"nobody cancelled the run, it ends with {end.type} by {end.by}"
        return
    for sent in run.cancels:
        if sent.answered in {"delivered", "accepted"} and sent.head is not None:
            later = [event.seq for event in run.log.life if isinstance(event, StepStarted) and event.seq > sent.head]
            if later:
                yield f"the cancel by {sent.by} was {sent.answered} after {sent.head}, steps begin at {some(later)}"
