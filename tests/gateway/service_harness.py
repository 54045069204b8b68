"""The gateway's services behind its doors, over a harness."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import update
from temporalio.client import Client

from longrun.activities.toolbox.registry import Tool, tool
from longrun.activities.toolbox.tool import ToolContext
from longrun.gateway.history.rebuilder import Rebuilder
from longrun.gateway.reconcile.reconciler import Reconciler
from longrun.gateway.service.decisions import Decisions
from longrun.gateway.service.delivery import Delivery, Fate
from longrun.gateway.service.run import Run
from longrun.gateway.service.runs import RunService
from longrun.gateway.service.workflows import Workflows
from longrun.gateway.streaming.hub import Hub
from longrun.runtime.clock import now
from longrun.runtime.ids import new_id
from longrun.store.db.database import Tx
from longrun.store.db.tables import OutboxRow, RunRow
from longrun.store.log_reader import Segment
from longrun.store.outbox import Outbox
from longrun.store.repair.restore import RunHistory
from longrun.store.runs import Acceptance
from longrun.workflows.contract.runs import Cancel, Decision, RunOrder, Said, Verdict
from tests.build import Stores
from tests.harness import Harness, until
from tests.logcheck import parsed
from tests.provider_fake import Gate

LONG_AGO = timedelta(minutes=1)


@asynccontextmanager
async def serving(service: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """A service that never ends by itself runs in the block."""
    task = asyncio.create_task(service)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@dataclass(frozen=True)
class ServiceHarness:
    """What the gateway does without a request."""

    stores: Stores
    signals: Outbox
    workflows: Workflows
    delivery: Delivery
    service: RunService
    rebuilder: Rebuilder
    reconciler: Reconciler

    async def settled(self, run_id: str) -> list[bytes]:
        """The events of a run that stand."""
        return await self.stores.lines(run_id, settled=True)

    async def segments(self, run_id: str) -> list[Segment]:
        """The run's log as it is kept."""
        return await self.stores.log.page(run_id, 0, 10_000)

    async def rebuilt(self, run_id: str) -> RunHistory:
        """The run from its history, which must have it."""
        rebuilt = await self.rebuilder.rebuild(run_id)
        assert rebuilt is not None
        return rebuilt

    async def assert_rebuilt(self, run_id: str) -> None:
        """Check that history tells of a run that has ended exactly what the store tells."""
        rebuilt = await self.rebuilt(run_id)
        assert [rebuilt.lines[seq] for seq in sorted(rebuilt.lines)] == await self.settled(run_id)
        assert rebuilt.final
        assert rebuilt.last_seq == await self.stores.log.head(run_id)

    def rows(self) -> dict[str, list[str]]:
        """All rows but the segments, by table, without what no history has: the tokens of attempts."""
        tables = ("runs", "threads", "heads", "turns", "messages", "steps", "calls", "approvals", "attempts")
        with closing(sqlite3.connect(self.stores.database.url.removeprefix("sqlite:///"))) as connection:
            found = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}  # noqa: S608
        found["attempts"] = [row[:-1] for row in found["attempts"]]
        return {name: sorted(str(row) for row in rows) for name, rows in found.items()}

    async def recorded(self, run_id: str, kind: str) -> bool:
        """Whether history has an event of this type."""
        return any(event.type == kind for event in parsed((await self.rebuilt(run_id)).lines.values()))

    async def approved(self, run_id: str, call_id: str) -> bool:
        """Whether a call has been approved."""
        return any(row.status == "approved" for row in await self.stores.approvals.find(run_id=run_id, call_id=call_id))

    async def head(self, run_id: str) -> int:
        """The last seq that the run has given."""
        return await self.stores.log.head(run_id) or 0

    async def decide(self, run_id: str, call_id: str, decision: Verdict, **more: object) -> None:
        """Decide a call."""
        given = {"call_id": call_id, "decision": decision, "by": "ann", "id": new_id(), **more}
        hub = Hub(self.stores.log)
        decisions = Decisions(self.stores.approvals, self.delivery, self.stores.log, hub, self.stores.agents)
        async with serving(hub.serve()):
            await decisions.decide(run_id, Decision.model_validate(given))

    async def cancel(self, run_id: str) -> Fate:
        """Cancel a run."""
        return await self.service.cancel(await self._run(run_id), Cancel(by="ann"))

    async def say(self, run_id: str, text: str, message_id: str | None = None) -> Fate:
        """Say something to a run."""
        return await self.service.say(await self._run(run_id), Said(text=text, by="ann", id=message_id or new_id()))

    async def _run(self, run_id: str) -> Run:
        row = await self.stores.runs.get(run_id)
        assert row is not None
        return Run.of(row)


def service_harness(harness: Harness, client: Client | None = None) -> ServiceHarness:
    """The services over a harness's store.

    Args:
        harness: The harness.
        client: Another client of Temporal than the harness's.
    """
    stores, used = harness.stores, client or harness.client
    signals, workflows = Outbox(stores.database), Workflows(used)
    delivery = Delivery(workflows, stores.runs, signals)
    service = RunService(workflows, harness.settings.task_queue, stores.runs, delivery)
    rebuilder = Rebuilder(used, stores.database, stores.runs, stores.log)
    reconciler = Reconciler(service, stores.runs, delivery, rebuilder, dict)
    return ServiceHarness(stores, signals, workflows, delivery, service, rebuilder, reconciler)


def tools(gate: Gate) -> list[Tool]:
    """A tool that reports, one that asks, and one that waits at a gate."""

    @tool()
    async def echo(text: str, context: ToolContext) -> str:
        """Say it again, word by word."""
        for token in text.split():
            await context.progress({"word": token})
        return text

    @tool(effect="write", approval="always")
    async def note(text: str) -> str:
        """Write it down."""
        return f"noted {text}"

    @tool(effect="write")
    async def hold() -> str:
        """Wait until it is enough."""
        await gate.passed()
        return "enough"

    return [echo, note, hold]


def reconciling(services: ServiceHarness) -> AbstractAsyncContextManager[None]:
    """The reconciler goes round in the block."""
    return serving(services.reconciler.serve())


async def _is_over(services: ServiceHarness, run_id: str) -> RunRow | None:
    row = await services.stores.runs.get(run_id)
    return row if row is not None and row.ended_at else None


async def over(services: ServiceHarness, run_id: str) -> RunRow:
    """Wait until the store says that a run has ended."""
    return await until(lambda: _is_over(services, run_id), "the run's end")


async def accept(services: ServiceHarness, given: RunOrder) -> RunOrder:
    """Accept a run as a gateway does that dies at once."""
    await services.stores.runs.accept(Acceptance(given))
    return given


async def aged(services: ServiceHarness) -> None:
    """Let everything have been accepted some time ago."""

    def job(tx: Tx) -> None:
        tx.execute(update(RunRow).values(created_at=now() - LONG_AGO))
        tx.execute(update(OutboxRow).values(created_at=now() - LONG_AGO))

    await services.stores.database.write(job)
