"""Which calls of a message wait for a person, and why."""

from longrun.workflows.contract.agents import AgentSpec, Approval
from longrun.workflows.contract.messages import ToolCallPart
from longrun.workflows.contract.requests import ToolPlan
from longrun.workflows.contract.results import ModelReply
from longrun.workflows.contract.runs import PendingApproval
from longrun.workflows.policy import arguments
from longrun.workflows.policy.calls import is_known, unreadable


def pending(agent: AgentSpec, reply: ModelReply, step: int) -> tuple[PendingApproval, ...]:
    """The calls of a message that wait for a person, with the reason for each."""
    reasons = [
        (call, reason_to_ask(call, approval_rule(agent, reply.plans[call.name], call.name)))
        for call in reply.message.calls
        if is_known(agent, reply, call)
    ]
    return tuple(
        PendingApproval(call_id=call.call_id, name=call.name, arguments=call.arguments, step=step, reason=reason)
        for call, reason in reasons
        if reason is not None
    )


def approval_rule(agent: AgentSpec, plan: ToolPlan, name: str) -> Approval:
    """The agent's own rule for a tool, else the tool's default."""
    for tool in agent.tools:
        if tool.name == name and tool.approval is not None:
            return tool.approval
    return plan.approval


def reason_to_ask(call: ToolCallPart, approval: Approval) -> str | None:
    """Why a person must agree to a call, or ``None`` if nobody must.

    A call whose arguments cannot be read is never run, so it is not worth a person's time.
    """
    if approval.mode == "never" or unreadable(call):
        return None
    if approval.mode == "always":
        return f"{call.name} always asks"
    given = arguments.parse(call.arguments)
    for rule in approval.rules:
        if arguments.holds(rule, given):
            return f"{rule.argument} {rule.operator} {arguments.as_text(rule.value)}"
    return None
