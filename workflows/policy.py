"""The rules of a run: what a limit, a rule on arguments or a decision means. Values in, values out."""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import JsonValue

from longrun.workflows.contract.agents import AgentSpec, Approval, ArgumentRule
from longrun.workflows.contract.errors import ErrorInfo
from longrun.workflows.contract.messages import ToolCallPart
from longrun.workflows.contract.requests import Answer, ToolCall, ToolPlan
from longrun.workflows.contract.results import ModelReply
from longrun.workflows.contract.runs import (
    Cancel,
    Decision,
    Limits,
    Outcome,
    PendingApproval,
    RunOrder,
    RunState,
    Snapshot,
    StopReason,
)
from longrun.workflows.inbox import Inbox

DENIED = "A reviewer denied this call."
EXPIRED = "Nobody approved this call in time."
UNKNOWN = "There is no tool of this name here."
UNREADABLE = "This call was not run, because its arguments are not a JSON object:"
LONGEST_HISTORY = 3500
"""Events; a step may add some hundred, and Temporal warns from 4,096."""

PAST_DEADLINE = Outcome(
    status="failed", stop_reason="expired", error=ErrorInfo(type="expired", message="the run's deadline has passed")
)
APPROVAL_EXPIRED = Outcome(
    status="failed", stop_reason="expired", error=ErrorInfo(type="expired", message="nobody approved in time")
)
SHORTEST = 0.002

_STOP_REASONS: frozenset[str] = frozenset({"llm_api_error", "invalid_llm_response", "context_overflow"})


def long_enough(history_events: int) -> bool:
    """Whether a history is to be continued in a new one, before Temporal itself would suggest it."""
    return history_events >= LONGEST_HISTORY


def limit_reached(limits: Limits, steps: int) -> Outcome | None:
    """The end of a run that has asked the model as often as it may."""
    return Outcome(status="completed", stop_reason="max_steps") if steps >= limits.max_steps else None


def seconds_left(limits: Limits, began: datetime, now: datetime) -> float | None:
    """Seconds until the run's deadline; 0 when it has passed, ``None`` without one."""
    if limits.deadline is None:
        return None
    return seconds_until(began + timedelta(seconds=limits.deadline), now)


def seconds_until(moment: datetime, now: datetime) -> float:
    """Seconds until a moment; 0 when it has passed or is nearer than a timer, which counts milliseconds, can tell."""
    left = (moment - now).total_seconds()
    return left if left >= SHORTEST else 0.0


def after_reply(reply: ModelReply) -> Outcome | None:
    """Whether the model's message ends the run; ``None`` to go on with its calls, or with another step."""
    if reply.finish_reason == "overflow":
        error = ErrorInfo(type="context_overflow", message="the conversation no longer fits into the model's context")
        return Outcome(status="failed", stop_reason="context_overflow", error=error)
    if reply.message.calls or reply.finish_reason == "pause":
        return None
    return Outcome(status="completed", stop_reason="end_turn")


def cancelled(cancel: Cancel) -> Outcome:
    """The end of a run that was told to stop."""
    return Outcome(status="cancelled", stop_reason="cancelled", cancel=cancel)


def failure(error_type: str | None, message: str) -> Outcome:
    """The end of a run whose step failed for good."""
    reason: StopReason = error_type if error_type in _STOP_REASONS else "error"  # pyright: ignore[reportAssignmentType] # the set holds stop reasons
    return Outcome(status="failed", stop_reason=reason, error=ErrorInfo(type=error_type or "error", message=message))


def _no_number(name: str) -> JsonValue:
    raise ValueError(f"{name} is not a number of JSON")


def _parsed(arguments: str) -> Mapping[str, JsonValue]:
    """The arguments of a call, read more strictly than any tool reads them: no rule must be got round by bad JSON.

    Raises:
        ValueError: They are not a JSON object.
    """
    try:
        value: JsonValue = json.loads(arguments.strip() or "{}", parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("it is a JSON value of another kind")  # noqa: TRY004 - to the model it is a wrong value
    return value


def _as_text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _same(value: JsonValue, wanted: JsonValue) -> bool:
    """Equal, or written alike: a tool takes "5" for 5."""
    return value == wanted or _as_text(value) == _as_text(wanted)


def _compares(rule: ArgumentRule, value: JsonValue) -> bool:
    if isinstance(value, int | float) and isinstance(rule.value, int | float):
        return value > rule.value if rule.operator == "greater" else value < rule.value
    return True  # what cannot be compared is for a person to look at


def holds(rule: ArgumentRule, arguments: Mapping[str, JsonValue]) -> bool:
    """Whether a rule applies to a call's arguments. A missing argument matches no rule but ``not_equals``."""
    if rule.argument not in arguments:
        return rule.operator == "not_equals"
    value = arguments[rule.argument]
    if rule.operator in ("equals", "not_equals"):
        return _same(value, rule.value) == (rule.operator == "equals")
    if rule.operator == "matches":
        return re.search(_as_text(rule.value), _as_text(value)) is not None
    if rule.operator == "contains":
        return _as_text(rule.value) in _as_text(value)
    return _compares(rule, value)


def _unreadable(call: ToolCallPart) -> str | None:
    """What is wrong with a call's arguments, in words for the model."""
    try:
        _parsed(call.arguments)
    except ValueError as error:
        return f"{UNREADABLE} {error}"
    return None


def why_ask(call: ToolCallPart, approval: Approval) -> str | None:
    """Why a person must agree to a call, or ``None`` if nobody must.

    A call whose arguments cannot be read is never run, so it is not worth a person's time.
    """
    if approval.mode == "never" or _unreadable(call):
        return None
    if approval.mode == "always":
        return f"{call.name} always asks"
    arguments = _parsed(call.arguments)
    for rule in approval.rules:
        if holds(rule, arguments):
            return f"{rule.argument} {rule.operator} {_as_text(rule.value)}"
    return None


def approval_of(agent: AgentSpec, plan: ToolPlan, name: str) -> Approval:
    """The agent's own word on a tool, else the tool's default."""
    for tool in agent.tools:
        if tool.name == name and tool.approval is not None:
            return tool.approval
    return plan.approval


def may_call(agent: AgentSpec, name: str) -> bool:
    """Whether the agent was given the tool."""
    return any(tool.name == name for tool in agent.tools)


def gated(agent: AgentSpec, reply: ModelReply, step: int) -> tuple[PendingApproval, ...]:
    """The calls of a message that wait for a person, with the reason for each."""
    asked = [
        (call, why_ask(call, approval_of(agent, reply.plans[call.name], call.name)))
        for call in reply.message.calls
        if call.name in reply.plans and may_call(agent, call.name)
    ]
    return tuple(
        PendingApproval(call_id=call.call_id, name=call.name, arguments=call.arguments, step=step, reason=reason)
        for call, reason in asked
        if reason is not None
    )


def answer_without_running(
    call: ToolCallPart, *, known: bool, decision: Decision | None, expired: bool
) -> Answer | None:
    """The result of a call that must not run, or ``None`` for one that runs."""
    edited = decision is not None and decision.decision == "edit"
    if refusal := UNKNOWN if not known else None if edited else _unreadable(call):
        return Answer(call_id=call.call_id, name=call.name, status="error", content=refusal)
    if expired:
        return Answer(call_id=call.call_id, name=call.name, status="denied", content=EXPIRED)
    if decision is None or decision.decision in ("approve", "edit"):
        return None
    if decision.decision == "answer":
        return Answer(call_id=call.call_id, name=call.name, status="ok", content=decision.answer or "")
    reason = f"{DENIED} Reason: {decision.reason}" if decision.reason else DENIED
    return Answer(call_id=call.call_id, name=call.name, status="denied", content=reason)


def settled(
    order: RunOrder,
    step: int,
    reply: ModelReply,
    decisions: Mapping[str, Decision | None],
    expired: frozenset[str],
) -> tuple[list[Answer], list[ToolCall]]:
    """What becomes of the calls of a message: the answers of those that are not run, and those that are."""
    answers: list[Answer] = []
    approved: list[ToolCall] = []
    for call in reply.message.calls:
        decision = decisions.get(call.call_id)
        known = call.name in reply.plans and may_call(order.agent, call.name)
        answer = answer_without_running(call, known=known, decision=decision, expired=call.call_id in expired)
        if answer:
            answers.append(answer)
            continue
        args = decision.args if decision and decision.decision == "edit" else None
        approved.append(ToolCall(run_id=order.run_id, step=step, call_id=call.call_id, name=call.name, args=args))
    return answers, approved


def tool_failed(call: ToolCall, outcome: Outcome) -> Answer:
    """The answer to a call whose tool could not be run to its end."""
    why = outcome.error.message if outcome.error else outcome.stop_reason
    return Answer(call_id=call.call_id, name=call.name, status="error", content=f"The tool failed: {why}")


def carried(now: Snapshot, state: RunState, inbox: Inbox, began: datetime) -> RunState:
    """What a run hands to its continuation: everything but the texts, which the store and the first link have."""
    order = state.order
    slim = order.model_copy(
        update={
            "input": order.input.model_copy(update={"parts": ()}),
            "agent": order.agent.model_copy(update={"system": ""}),
            "metadata": {},
        }
    )
    return RunState(
        order=slim,
        began=began,
        step=now.step,
        turn=now.turn,
        usage=now.usage,
        decisions=inbox.decisions,
        heard=inbox.heard,
        heard_ids=inbox.heard_ids,
    )
