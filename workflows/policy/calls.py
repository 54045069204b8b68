"""What becomes of the calls of a message: each is run, or answered without running."""

from collections.abc import Mapping

from longrun.workflows.contract.agents import AgentSpec
from longrun.workflows.contract.messages import ResultStatus, ToolCallPart
from longrun.workflows.contract.requests import Answer, ToolCall
from longrun.workflows.contract.results import ModelReply
from longrun.workflows.contract.runs import Decision, Outcome, RunOrder
from longrun.workflows.policy import arguments

DENIED = "A reviewer denied this call."
EXPIRED = "Nobody approved this call in time."
UNKNOWN = "There is no tool of this name here."
UNREADABLE = "This call was not run, because its arguments are not a JSON object:"


def is_known(agent: AgentSpec, reply: ModelReply, call: ToolCallPart) -> bool:
    """Whether the called tool exists and the agent may use it."""
    return call.name in reply.plans and any(tool.name == call.name for tool in agent.tools)


def unreadable(call: ToolCallPart) -> str | None:
    """What is wrong with a call's arguments, as the model is told; ``None`` if nothing is."""
    try:
        arguments.parse(call.arguments)
    except ValueError as error:
        return f"{UNREADABLE} {error}"
    return None


def resolve(
    order: RunOrder, step: int, reply: ModelReply, decisions: Mapping[str, Decision | None]
) -> tuple[list[Answer], list[ToolCall]]:
    """The answers of the calls that are not run, and the calls that are. A decision of ``None`` has expired."""
    answers: list[Answer] = []
    approved: list[ToolCall] = []
    for call in reply.message.calls:
        decision = decisions.get(call.call_id)
        if not is_known(order.agent, reply, call):
            answers.append(_answer(call, "error", UNKNOWN))
        elif answer := _answer_without_running(call, decision, expired=call.call_id in decisions and decision is None):
            answers.append(answer)
        else:
            args = decision.args if decision and decision.decision == "edit" else None
            approved.append(ToolCall(run_id=order.run_id, step=step, call_id=call.call_id, name=call.name, args=args))
    return answers, approved


def tool_failed(call: ToolCall, outcome: Outcome) -> Answer:
    """The answer to a call whose activity failed and is not retried."""
    why = outcome.error.message if outcome.error else outcome.stop_reason
    return _answer(call, "error", f"The tool failed: {why}")


def _answer_without_running(call: ToolCallPart, decision: Decision | None, *, expired: bool) -> Answer | None:
    """The answer to a call of a known tool that must not run, or ``None`` for one that runs."""
    edited = decision is not None and decision.decision == "edit"
    if not edited and (refusal := unreadable(call)):
        return _answer(call, "error", refusal)
    if expired:
        return _answer(call, "denied", EXPIRED)
    if decision is None or decision.decision in ("approve", "edit"):
        return None
    if decision.decision == "answer":
        return _answer(call, "ok", decision.answer or "")
    return _answer(call, "denied", f"{DENIED} Reason: {decision.reason}" if decision.reason else DENIED)


def _answer(call: ToolCallPart | ToolCall, status: ResultStatus, content: str) -> Answer:
    return Answer(call_id=call.call_id, name=call.name, status=status, content=content)
