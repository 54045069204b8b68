"""Interrupted calls: what a person is asked about them, and what becomes of them then."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from longrun.workflows.contract.messages import Message
from longrun.workflows.contract.requests import Answer, ToolCall
from longrun.workflows.contract.runs import Decision, PendingApproval

NOT_AGAIN = "This call was interrupted and may have had its effect. A reviewer decided not to run it again."
NOT_DECIDED = "This call was interrupted and may have had its effect. It was not run again: nobody decided in time."
CHOICES = "It may have had its effect: approve to run it again, deny to leave it, answer to give its result."


@dataclass(frozen=True)
class Interrupted:
    """A call that was started, may have had its effect, and has no result."""

    call: ToolCall
    next_attempt: int
    why: str

    @property
    def question_id(self) -> str:
        """What a decision names in place of the call, so that no earlier decision on the call counts again."""
        return f"{self.call.call_id}~{self.next_attempt}"


def questions(interrupted: Iterable[Interrupted], message: Message) -> tuple[PendingApproval, ...]:
    """What a person is asked, with the arguments that the calls of this message would be run with again."""
    arguments = {call.call_id: call.arguments for call in message.calls}
    return tuple(
        PendingApproval(
            call_id=each.question_id,
            name=each.call.name,
            arguments=arguments[each.call.call_id] if each.call.edited is None else each.call.edited,
            step=each.call.step,
            reason=f"{each.why}. {CHOICES}",
            interrupted=each.call.call_id,
        )
        for each in interrupted
    )


def resolve(
    interrupted: Iterable[Interrupted], verdicts: Mapping[str, Decision | None]
) -> tuple[list[Answer], list[ToolCall]]:
    """The answers of the calls that are not run again, and the calls that are."""
    answers: list[Answer] = []
    again: list[ToolCall] = []
    for each in interrupted:
        decision = verdicts.get(each.question_id)
        if decision is not None and decision.decision in ("approve", "edit"):
            args = decision.args if decision.decision == "edit" and decision.args is not None else each.call.args
            again.append(each.call.model_copy(update={"again": each.next_attempt, "args": args}))
        else:
            answers.append(_answer(each.call, decision))
    return answers, again


def _answer(call: ToolCall, decision: Decision | None) -> Answer:
    if decision is None:
        return Answer(call_id=call.call_id, name=call.name, status="error", content=NOT_DECIDED)
    if decision.decision == "answer":
        return Answer(call_id=call.call_id, name=call.name, status="ok", content=decision.answer or "")
    content = f"{NOT_AGAIN} Reason: {decision.reason}" if decision.reason else NOT_AGAIN
    return Answer(call_id=call.call_id, name=call.name, status="error", content=content)
