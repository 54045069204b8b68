"""What waits for a reviewer, and the reviewer's decision: by Temporal alone, so that it works without the gateway."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from temporalio.service import RPCError, RPCStatusCode

from longrun.gateway.history.reader import HistoryReader, Tip
from longrun.gateway.service.confirmation import confirmed
from longrun.gateway.service.workflows import Execution, Workflows, connect
from longrun.runtime.plain import PlainError
from longrun.workflows.contract.results import Recorded
from longrun.workflows.contract.runs import Decision, PendingApproval, Snapshot

WAITING = "RunStatus = 'waiting' AND ExecutionStatus = 'Running'"
CONFIRMED_WITHIN = 10.0
"""Seconds for the run to confirm which decision counted."""
_AT_ONCE = 10
_PAUSE = 0.05
"""Seconds between two queries for the confirmation."""


class ReviewError(PlainError):
    """The decision cannot be given; the message is for a person."""


class UnknownRunWaitingError(ReviewError):
    """No run waits for the call, as far as Temporal's list of waiting runs knows already."""


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
    """The fate of a decision.

    ``counts``: the run follows it. ``late``: another one came first, ``first``, or without it the time ran out.
    ``kept``: the run does not wait for the call yet. ``unconfirmed``: the run has it, and no worker says more.
    """

    kind: Literal["counts", "late", "kept", "unconfirmed"]
    first: Decision | None = None


CallState = Decision | Literal["pending", "not_pending", "expired", "unknown"]
"""Of a call: decided, waiting, not waiting (yet), expired, or no worker answers for its run."""


class Reviews:
    """Finds the calls that wait and decides them.

    Args:
        workflows: Calls Temporal.
        history: Reads histories.
    """

    def __init__(self, workflows: Workflows, history: HistoryReader) -> None:
        self._workflows = workflows
        self._history = history

    @classmethod
    async def connect(cls) -> "Reviews":
        """Over Temporal where the environment says that it is."""
        client = await connect()
        return cls(Workflows(client), HistoryReader(client))

    async def waiting(self) -> list[Waiting]:
        """The runs that wait, as far as visibility knows already.

        Raises:
            TemporalUnavailableError: Temporal did not answer.
        """
        few = asyncio.Semaphore(_AT_ONCE)

        async def query(each: Execution) -> Waiting:
            async with few:
                return Waiting(each.run_id, each.agent, await self._workflows.status(each.run_id))

        return list(await asyncio.gather(*map(query, await self._workflows.find(WAITING))))

    async def of_run(self, run_id: str) -> Snapshot:
        """The state of a run.

        Raises:
            ReviewError: There is no such run, or no worker answers for it.
            TemporalUnavailableError: Temporal did not answer.
        """
        await self._tip(run_id)
        snapshot = await self._workflows.status(run_id)
        if snapshot is None:
            raise ReviewError(f"no worker answers for run {run_id}; `longrun dev` or `longrun worker` starts one")
        return snapshot

    async def run_waiting_for(self, call_id: str) -> str:
        """The one run that waits for a decision on a call.

        Raises:
            UnknownRunWaitingError: There is none.
            ReviewError: There is more than one.
            TemporalUnavailableError: Temporal did not answer.
        """
        waiting = await self.waiting()
        found = [each.run_id for each in waiting if each.snapshot and call_id in _ids(each.snapshot.pending)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ReviewError(f"the call {call_id} waits in several runs; name one by --run: {', '.join(found)}")
        silent = sum(each.snapshot is None for each in waiting)
        unanswered = f" (no worker answers for {silent} waiting runs)" if silent else ""
        raise UnknownRunWaitingError(
            f"no waiting run asks for the call {call_id}{unanswered}; "
            "the list of waiting runs may lag by a second or two: try again, or name the run by --run RUN"
        )

    async def decide(self, run_id: str, decision: Decision) -> Ruling:
        """Signal a decision to a run, and see which one counts.

        Raises:
            ReviewError: There is no such run, or it has ended.
            TemporalUnavailableError: Temporal did not answer.
        """
        # A decision that comes too late must not be signalled: the run would keep it for ever.
        before = await self._call_state(run_id, decision.call_id)
        if ruling := _ruling(before, decision):
            return ruling
        await self._signal(run_id, decision)

        async def look() -> Ruling | None:
            state = await self._call_state(run_id, decision.call_id)
            kept = Ruling("kept") if state == before == "not_pending" else None
            return _ruling(state, decision) or kept

        return await confirmed(look, lambda: asyncio.sleep(_PAUSE), CONFIRMED_WITHIN) or Ruling("unconfirmed")

    async def _signal(self, run_id: str, decision: Decision) -> None:
        try:
            await self._workflows.signal(run_id, "decide", decision)
        except RPCError as error:
            ended = error.status == RPCStatusCode.NOT_FOUND
            raise ReviewError(f"run {run_id} has ended" if ended else f"Temporal refuses: {error.message}") from error

    async def _call_state(self, run_id: str, call_id: str) -> CallState:
        """The state of a call: by the run's answer, and once it waits no more by its history."""
        snapshot = await self._workflows.status(run_id)
        if snapshot and call_id in _ids(snapshot.pending):
            decided = [each for each in snapshot.decided if each.call_id == call_id]
            return decided[0] if decided else "pending"
        results = await self._history.results(run_id, await self._tip(run_id))
        for recorded in results.of(Recorded):
            if call_id in recorded.verdicts.expired:
                return "expired"
            if decided := [each for each in recorded.verdicts.decisions if each.call_id == call_id]:
                return decided[0]
        return "not_pending" if snapshot else "unknown"

    async def _tip(self, run_id: str) -> Tip:
        tip = await self._history.tip(run_id)
        if tip is None:
            raise ReviewError(f"Temporal knows no run {run_id}")
        return tip


def _ruling(state: CallState, decision: Decision) -> Ruling | None:
    """What the state of its call says of a decision for certain."""
    if state == "expired":
        return Ruling("late")
    if not isinstance(state, Decision):
        return None
    return Ruling("counts" if state.id == decision.id else "late", state)


def _ids(calls: Iterable[PendingApproval]) -> set[str]:
    return {call.call_id for call in calls}
