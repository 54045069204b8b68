"""Which calls wait for a person."""

from longrun.workflows.contract.results import ModelReply
from longrun.workflows.contract.runs import PendingApproval
from longrun.workflows.contract.sizes import beginning

MOST_BYTES = 500_000
"""Bytes of the arguments that people are shown of the calls of one message together."""
_REASON = 1000


def pending(reply: ModelReply, step: int) -> tuple[PendingApproval, ...]:
    """The calls of a message that wait for a person, with the reason for each."""
    plans = ((call, reply.plans.get(call.call_id)) for call in reply.message.calls)
    asking = [(call, plan.ask) for call, plan in plans if plan is not None and plan.ask is not None]
    room = MOST_BYTES // max(1, len(asking))
    return tuple(
        PendingApproval(
            call_id=call.call_id,
            name=call.name,
            arguments=beginning(call.arguments, room),
            step=step,
            reason=beginning(reason, _REASON),
        )
        for call, reason in asking
    )
