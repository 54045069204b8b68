"""What waits for a reviewer, and the reviewer's word: asked of Temporal alone, so that it works without the gateway."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from temporalio.client import Client, WorkflowExecution, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from longrun.gateway.history.reader import HistoryReader, Tip
from longrun.runtime.temporal import RPC_TIMEOUT, answered, temporal_connection
from longrun.workflows.agent_run import AgentRun
from longrun.workflows.contract.results import Recorded
from longrun.workflows.contract.runs import Decision, PendingApproval, Snapshot
from longrun.workflows.search_attributes import AGENT_NAME

WAITING = "WorkflowType = 'AgentRun' AND RunStatus = 'waiting' AND ExecutionStatus = 'Running'"
CONFIRMED_WITHIN = 10.0
"""Seconds for the run to say which decision counted."""
QUERY_TIMEOUT = timedelta(seconds=5)
"""For a worker's answer: one that has never seen the run reads its whole history first."""
_AT_ONCE = 10
_POLL = 0.05


class ReviewError(Exception):
    """The decision cannot be given; the message is for a person."""


@dataclass(frozen=True)
class Waiting:
    """A run that waits. ``snapshot`` is ``None`` if no worker answers for it."""

    run_id: str
    agent: str
    snapshot: Snapshot | None

    @property
    def open(self) -> tuple[PendingApproval, ...]:
        """The calls that nobody has decided yet."""
        if self.snapshot is None:
            return ()
        decided = {decision.call_id for decision in self.snapshot.decided}
        return tuple(call for call in self.snapshot.pending if call.call_id not in decided)


@dataclass(frozen=True)
class Ruling:
    """What became of a decision.

    ``counts``: the run follows it. ``late``: another one came first, ``first``, or without it the time ran out.
    ``kept``: the run has not asked for the call yet. ``unconfirmed``: the run has it, and no worker says more.
    """

    kind: Literal["counts", "late", "kept", "unconfirmed"]
    first: Decision | None = None


Standing = Decision | Literal["open", "unasked", "expired", "unknown"]
"""How a call stands: decided, waiting, not asked for yet, too late, or nobody who could say answers."""


class Reviews:
    """Finds what waits and decides it.

    Args:
        client: The way to Temporal.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._history = HistoryReader(client)

    @classmethod
    async def connect(cls) -> "Reviews":
        """Over Temporal as the environment names it."""
        return cls(await Client.connect(**temporal_connection(), lazy=True))

    async def waiting(self) -> list[Waiting]:
        """The runs that wait, as far as visibility knows already.

        Raises:
            TemporalUnavailableError: Temporal did not answer.
        """
        with answered():
            found = [each async for each in self._client.list_workflows(WAITING, rpc_timeout=RPC_TIMEOUT)]
        few = asyncio.Semaphore(_AT_ONCE)

        async def ask(each: WorkflowExecution) -> Waiting:
            async with few:
                agent = each.typed_search_attributes.get(AGENT_NAME) or "unknown"
                return Waiting(each.id, agent, await self._snapshot(each.id))

        return list(await asyncio.gather(*map(ask, found)))

    async def of_run(self, run_id: str) -> Snapshot:
        """Where a run stands.

        Raises:
            ReviewError: There is no such run, or no worker answers for it.
            TemporalUnavailableError: Temporal did not answer.
        """
        await self._tip(run_id)
        snapshot = await self._snapshot(run_id)
        if snapshot is None:
            raise ReviewError(f"no worker answers for run {run_id}; `longrun dev` or `longrun worker` starts one")
        return snapshot

    async def run_that_asks(self, call_id: str) -> str:
        """The one run in which a call waits.

        Raises:
            ReviewError: There is none, or more than one.
            TemporalUnavailableError: Temporal did not answer.
        """
        waiting = await self.waiting()
        asking = [each.run_id for each in waiting if each.snapshot and call_id in _ids(each.snapshot.pending)]
        if len(asking) == 1:
            return asking[0]
        if asking:
            raise ReviewError(f"the call {call_id} waits in several runs; name one by --run: {', '.join(asking)}")
        silent = sum(each.snapshot is None for each in waiting)
        unasked = f" (no worker answers for {silent} waiting runs)" if silent else ""
        raise ReviewError(
            f"no waiting run asks for the call {call_id}{unasked}; "
            "the list of waiting runs may lag by a second or two: try again, or name the run by --run RUN"
        )

    async def decide(self, run_id: str, decision: Decision) -> Ruling:
        """Signal a decision to a run, and see which one counts.

        Raises:
            ReviewError: There is no such run, or it has ended.
            TemporalUnavailableError: Temporal did not answer.
        """
        # A decision that comes too late must not be kept: nothing would ever use it.
        before = await self._standing(run_id, decision.call_id)
        if ruling := _ruling(before, decision):
            return ruling
        await self._signal(run_id, decision)
        try:
            async with asyncio.timeout(CONFIRMED_WITHIN):
                return await self._confirmed(run_id, decision, asked=before != "unasked")
        except TimeoutError:
            return Ruling("unconfirmed")

    async def _signal(self, run_id: str, decision: Decision) -> None:
        handle = self._client.get_workflow_handle_for(AgentRun.run, run_id)
        try:
            with answered():
                await handle.signal(AgentRun.decide, decision, rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            ended = error.status == RPCStatusCode.NOT_FOUND
            raise ReviewError(f"run {run_id} has ended" if ended else f"Temporal refuses: {error.message}") from error

    async def _confirmed(self, run_id: str, decision: Decision, *, asked: bool) -> Ruling:
        while True:
            standing = await self._standing(run_id, decision.call_id)
            if ruling := _ruling(standing, decision):
                return ruling
            if standing == "unasked" and not asked:
                return Ruling("kept")
            await asyncio.sleep(_POLL)

    async def _standing(self, run_id: str, call_id: str) -> Standing:
        """How a call stands: by the run's own word, and once it waits no more by what its history kept."""
        snapshot = await self._snapshot(run_id)
        if snapshot and call_id in _ids(snapshot.pending):
            decided = [each for each in snapshot.decided if each.call_id == call_id]
            return decided[0] if decided else "open"
        results = await self._history.results(run_id, await self._tip(run_id))
        for recorded in results.of(Recorded):
            if call_id in recorded.verdicts.expired:
                return "expired"
            if decided := [each for each in recorded.verdicts.decisions if each.call_id == call_id]:
                return decided[0]
        return "unasked" if snapshot else "unknown"

    async def _tip(self, run_id: str) -> Tip:
        tip = await self._history.tip(run_id)
        if tip is None:
            raise ReviewError(f"Temporal knows no run {run_id}")
        return tip

    async def _snapshot(self, run_id: str) -> Snapshot | None:
        """What the run says of itself; ``None`` if no worker answers for it."""
        handle = self._client.get_workflow_handle_for(AgentRun.run, run_id)
        try:
            return await handle.query(AgentRun.status, rpc_timeout=QUERY_TIMEOUT)
        except (RPCError, WorkflowQueryFailedError):
            return None


def _ruling(standing: Standing, decision: Decision) -> Ruling | None:
    """What is certain of a decision by how its call stands."""
    if standing == "expired":
        return Ruling("late")
    if not isinstance(standing, Decision):
        return None
    return Ruling("counts" if standing.id == decision.id else "late", standing)


def _ids(calls: Iterable[PendingApproval]) -> set[str]:
    return {call.call_id for call in calls}
