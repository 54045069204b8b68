"""Which calls wait for a person."""

from longrun.workflows.contract.results import ModelReply
from longrun.workflows.contract.runs import PendingApproval


def pending(reply: ModelReply, step: int) -> tuple[PendingApproval, ...]:
    """The calls of a message that wait for a person, with the reason for each."""
    plans = ((call, reply.plans.get(call.call_id)) for call in reply.message.calls)
    return tuple(
        PendingApproval(call_id=call.call_id, name=call.name, arguments=call.arguments, step=step, reason=plan.ask)
        for call, plan in plans
        if plan is not None and plan.ask is not None
    )
