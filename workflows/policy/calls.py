"""What becomes of the calls of a message: each is run, or answered without running."""

from collections.abc import Mapping

from longrun.workflows.contract.messages import ResultStatus, ToolCallPart
from longrun.workflows.contract.requests import Answer, CallPlan, ToolCall
from longrun.workflows.contract.results import ModelReply
from longrun.workflows.contract.runs import Decision, Outcome, RunOrder

DENIED = "A reviewer denied this call."
EXPIRED = "Nobody approved this call in time."
UNKNOWN = "There is no tool of this name here."
CUT = "This call was not run: the limit of an answer's length cut it off. Say it shorter, or in several calls."


def resolve(
    order: RunOrder, step: int, reply: ModelReply, decisions: Mapping[str, Decision | None]
) -> tuple[list[Answer], list[ToolCall]]:
    """The answers of the calls that are not run, and the calls that are. A decision of ``None`` has expired."""
    answers = [_answer(call, "error", CUT) for call in reply.cut_calls]
    approved: list[ToolCall] = []
    for call in reply.message.calls:
        decision = decisions.get(call.call_id)
        plan = reply.plans.get(call.call_id)
        if plan is None:
            answers.append(_answer(call, "error", UNKNOWN))
        elif answer := _without_running(call, plan, decision, expired=call.call_id in decisions and decision is None):
            answers.append(answer)
        else:
            args = decision.args if decision and decision.decision == "edit" else None
            approved.append(ToolCall(run_id=order.run_id, step=step, call_id=call.call_id, name=call.name, args=args))
    return answers, approved


def tool_failed(call: ToolCall, outcome: Outcome) -> Answer:
    """The answer to a call whose activity failed and is not retried."""
    why = outcome.error.message if outcome.error else outcome.stop_reason
    return _answer(call, "error", f"The tool failed: {why}")


def _without_running(call: ToolCallPart, plan: CallPlan, decision: Decision | None, *, expired: bool) -> Answer | None:
    """The answer to a call of a known tool that must not run, or ``None`` for one that runs."""
    edited = decision is not None and decision.decision == "edit"
    if not edited and plan.refusal is not None:
        return _answer(call, "error", plan.refusal)
    if expired:
        return _answer(call, "denied", EXPIRED)
    if decision is None or decision.decision in ("approve", "edit"):
        return None
    if decision.decision == "answer":
        return _answer(call, "ok", decision.answer or "")
    return _answer(call, "denied", f"{DENIED} Reason: {decision.reason}" if decision.reason else DENIED)


def _answer(call: ToolCallPart | ToolCall, status: ResultStatus, content: str) -> Answer:
    return Answer(call_id=call.call_id, name=call.name, status=status, content=content)
