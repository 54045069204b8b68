"""What becomes of the calls of a message: which cannot be run as they are, and which a person must agree to.

It is found out here and not in the workflow: the tools are here, and whatever a rule takes holds up nobody else.
"""

import logging
from collections.abc import Callable, Mapping

from pydantic import JsonValue

from longrun.activities import argument_rules
from longrun.activities.toolbox.definition import Tool
from longrun.activities.toolbox.registry import Toolbox
from longrun.activities.toolbox.tool import ToolFailure
from longrun.workflows.contract.agents import AgentSpec, Approval
from longrun.workflows.contract.messages import Message, ToolCallPart
from longrun.workflows.contract.requests import CallPlan

_LONGEST_REFUSAL = 2000

logger = logging.getLogger(__name__)

MOST_CALLS = 128
"""Calls of one message that are run."""
TOO_MANY = f"This call was not run: of the calls of one message, only the first {MOST_CALLS} are."
UNREADABLE = "This call was not run, because its arguments are not a JSON object:"


def plans(
    toolbox: Toolbox, agent: AgentSpec, message: Message, may_loosen: Callable[[str], bool] = lambda _: False
) -> dict[str, CallPlan]:
    """The plan of each call of a tool that there is and that the agent may use, by the call's id.

    Args:
        toolbox: The tools.
        agent: The agent.
        message: The model's message.
        may_loosen: Whether the operator lets an agent run a tool with less approval than the tool asks for.
    """
    own = {use.name: use.approval for use in agent.tools}
    return {
        call.call_id: _plan(
            tool, call, _approvals(tool, own[call.name], loose=tool.spec.loosenable or may_loosen(call.name))
        )
        if number < MOST_CALLS
        else _one_too_many(tool)
        for number, call in enumerate(message.calls)
        if call.name in own and (tool := toolbox.find(call.name)) is not None
    }


def _one_too_many(tool: Tool) -> CallPlan:
    return CallPlan(timeout=tool.spec.timeout, refusal=TOO_MANY)


def _approvals(tool: Tool, own: Approval | None, *, loose: bool) -> tuple[Approval, ...]:
    """The tool's rule and the agent's; where the operator lets it, the agent's alone."""
    if own is None:
        return (tool.spec.approval,)
    return (own,) if loose else (tool.spec.approval, own)


def _plan(tool: Tool, call: ToolCallPart, approvals: tuple[Approval, ...]) -> CallPlan:
    timeout = tool.spec.timeout
    try:
        argument_rules.parse(call.arguments)
    except ValueError as error:
        return CallPlan(timeout=timeout, refusal=f"{UNREADABLE} {error}")
    try:
        given = tool.check(call.arguments)
    except ToolFailure as error:
        return CallPlan(timeout=timeout, refusal=str(error)[:_LONGEST_REFUSAL])
    return CallPlan(timeout=timeout, ask=reason_to_ask(call.name, given, *approvals))


def reason_to_ask(name: str, given: Mapping[str, JsonValue], *approvals: Approval) -> str | None:
    """Why a person must agree to a call, by any of these; ``None`` if nobody must."""
    for approval in approvals:
        if approval.mode != "never" and (reason := _reason(name, given, approval)):
            return reason
    return None


def _reason(name: str, given: Mapping[str, JsonValue], approval: Approval) -> str | None:
    if approval.mode == "always":
        return f"{name} always asks"
    for rule in approval.rules:
        what = f"{rule.argument} {rule.operator} {argument_rules.as_text(rule.value)}"
        try:
            if argument_rules.holds(rule, given):
                return what
        except Exception as error:  # what cannot be decided is for a person to look at
            logger.exception("the rule %s on a call of %s cannot be decided", what, name)
            return f"{what}: cannot be decided ({type(error).__name__})"
    return None
