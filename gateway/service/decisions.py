"""Decisions on the calls that wait for a person."""

from typing import Literal

from longrun.gateway.service.confirmation import confirmed
from longrun.gateway.service.delivery import Delivery
from longrun.gateway.service.edits import check_arguments
from longrun.gateway.service.errors import AlreadyDecidedError, AmbiguousCallError, RunOverError, UnknownCallError
from longrun.gateway.service.run import Run
from longrun.gateway.streaming.hub import Hub
from longrun.runtime.failpoints import reached
from longrun.store.agents import Agents
from longrun.store.approvals import ApprovalFilter, Approvals, Requested
from longrun.store.db.tables import ApprovalRow
from longrun.store.log_reader import LogReader
from longrun.store.outbox import Signal
from longrun.workflows.contract.runs import Decision
from longrun.workflows.contract.views import ApprovalView

CONFIRMED_WITHIN = 5.0
"""Seconds that a decision's caller waits for the run to confirm which decision counts."""

_MOST_NAMED = 10
__all__ = ["ApprovalFilter", "Decisions", "Requested"]


class Decisions:
    """Lists the calls that wait, or waited, for a person, and decides them.

    Every method raises ``StoreUnavailableError`` if the store has failed.

    Args:
        approvals: The store's approvals.
        delivery: Delivers decisions.
        log: The store's logs.
        hub: News of them.
        agents: The store's agents, and the tools that workers offer.
    """

    def __init__(self, approvals: Approvals, delivery: Delivery, log: LogReader, hub: Hub, agents: Agents) -> None:
        self._approvals = approvals
        self._agents = agents
        self._delivery = delivery
        self._log = log
        self._hub = hub

    async def page(self, which: ApprovalFilter) -> tuple[ApprovalView, ...]:
        """Approvals, newest first."""
        return tuple(map(_view, await self._approvals.page(which)))

    async def run_waiting_for(self, call_id: str, decision_id: str) -> str:
        """The one run that waits for a decision on a call, or has got this decision.

        Raises:
            AmbiguousCallError: There is more than one.
            AlreadyDecidedError: There is none any more.
            UnknownCallError: There is none.
        """
        pending = await self._approvals.find(call_id=call_id, status="pending")
        if len(pending) > 1:
            runs = ", ".join(each.run_id for each in pending[:_MOST_NAMED])
            raise AmbiguousCallError(f"the call {call_id} waits in several runs; name one of {runs}")
        if pending:
            return pending[0].run_id
        if decided := await self._approvals.find(call_id=call_id):
            return _confirmation(decided[-1], decision_id).run_id
        raise UnknownCallError(f"no call {call_id} waits; name its run_id to decide early")

    async def refuse_if_over(self, run: Run, call_id: str, decision_id: str) -> None:
        """Refuse a decision on a call of a run that has ended, unless it has got this very one.

        Raises:
            AlreadyDecidedError: The run has ended, and the call was decided.
            RunOverError: The run has ended.
        """
        if run.over:
            for approval in await self._approvals.find(run_id=run.id, call_id=call_id):
                _confirmation(approval, decision_id)
                return
            raise RunOverError(f"run {run.id} has ended")

    async def decide(self, run_id: str, decision: Decision) -> ApprovalView | None:
        """Decide a call, and wait a little for the run to confirm that the decision counts.

        Returns:
            The approval as decided, or ``None`` without a confirmation: the decision is kept until it is delivered.

        Raises:
            AlreadyDecidedError: Another decision came first.
            InvalidEditError: The tool does not take the reviewer's arguments.
        """
        if decision.decision == "edit":
            await self._check_edit(run_id, decision)
        body = decision.model_dump_json(exclude_none=True)
        signal = await self._delivery.accept(Signal(run_id, f"decide:{run_id}:{decision.call_id}", "decide", body))
        if signal.body != body:
            raise AlreadyDecidedError(Decision.model_validate_json(signal.body), "decided")
        reached("decision accepted")
        with self._hub.subscribe(run_id, await self._log.head(run_id) or 0) as news:
            delivered = await self._delivery.send(signal) != "accepted"

            async def look() -> ApprovalView | Literal["kept"] | None:
                found = await self._approvals.find(run_id=run_id, call_id=decision.call_id)
                if not found:
                    return "kept"  # the run does not wait for the call yet, and keeps the decision until it does
                if found[0].status == "pending":
                    return None if delivered else "kept"
                return _confirmation(found[0], decision.id)

            found = await confirmed(look, news.take, CONFIRMED_WITHIN)
        return found if isinstance(found, ApprovalView) else None

    async def _check_edit(self, run_id: str, decision: Decision) -> None:
        """Check the arguments of a call that waits; of one that is to come nobody knows the tool."""
        waiting = await self._approvals.find(run_id=run_id, call_id=decision.call_id)
        for tool in await self._agents.tools() if waiting else ():
            if tool.name == waiting[0].name:
                check_arguments(tool, decision.args)


def _confirmation(approval: ApprovalRow, decision_id: str | None) -> ApprovalView:
    """The approval as a decision has decided it.

    Raises:
        AlreadyDecidedError: Another one has.
    """
    view = _view(approval)
    if view.decision is None or view.decision.id != decision_id:
        raise _already_decided(approval)
    return view


def _already_decided(approval: ApprovalRow) -> AlreadyDecidedError:
    return AlreadyDecidedError(_view(approval).decision, approval.status)


def _view(row: ApprovalRow) -> ApprovalView:
    decision = Decision.model_validate_json(row.decision) if row.decision else None
    return ApprovalView.model_validate({**row.model_dump(), "decision": decision})
