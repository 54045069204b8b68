"""Every operation once, by both kinds of client, against a real gateway with a worker."""

from collections.abc import AsyncGenerator
from uuid import uuid4

import pytest
import pytest_asyncio

from longrun.client import ApiError, operations
from longrun.workflows.contract.agents import AgentSpec, ToolUse
from longrun.workflows.contract.events import RunAccepted, RunCancelled, RunCompleted
from longrun.workflows.contract.runs import Decision, Limits
from longrun.workflows.contract.views import ApprovalView, Delivered
from tests.longrun.client.driving import EITHER, LONG, Driver, Kind, driving
from tests.provider_fake import call, in_turn, turn
from tests.running import Front, running
from tests.tools import TOOLS

pytestmark = pytest.mark.server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def front(temporal: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Front]:
    says = in_turn(turn("I pay.", call("c1", "pay", {"amount": 5})), turn("Paid."))
    async with running(temporal, tmp_path_factory.mktemp("client"), says=says, tools=TOOLS) as front:
        yield front


@pytest_asyncio.fixture(loop_scope="session")
async def client(kind: Kind, front: Front) -> AsyncGenerator[Driver]:
    async with driving(kind, front.base_url, LONG) as client:
        yield client


async def waiting(client: Driver, front: Front, thread: str | None = None) -> str:
    """Start a run that waits for a decision; its id."""
    agent = {"model": "scripted/x", "tools": ["pay"]}
    limits = Limits(max_steps=3)
    start = operations.start_run
    run = await client.ask(start, agent, "go", thread_id=thread, limits=limits, metadata={"by": "test"})
    await front.waiting(run.id)
    return run.id


@EITHER
async def test_agents_are_created_read_changed_and_deleted(client: Driver) -> None:
    name = f"clerk-{uuid4()}"
    spec = AgentSpec(name=name, model="scripted/x", tools=(ToolUse(name="pay"),))
    created = await client.ask(operations.create_agent, spec)
    assert (created.name, created.tools) == (name, spec.tools)
    with pytest.raises(ApiError, match=name) as taken:
        await client.ask(operations.create_agent, {"name": name})
    assert taken.value.status == 409
    assert await client.ask(operations.get_agent, name) == created
    assert created in (await client.ask(operations.list_agents)).agents
    changed = await client.ask(operations.update_agent, created.id, {"system": "Be brief."})
    assert (changed.id, changed.system) == (created.id, "Be brief.")
    await client.ask(operations.delete_agent, created.id)
    with pytest.raises(ApiError, match="there is no agent"):
        await client.ask(operations.get_agent, name)


@EITHER
async def test_a_run_is_started_decided_read_and_its_result_got(client: Driver, front: Front) -> None:
    run_id = await waiting(client, front)
    run = await client.ask(operations.get_run, run_id)
    assert (run.status, run.limits.max_steps, run.metadata) == ("waiting", 3, {"by": "test"})
    assert [each.call_id for each in run.pending_approvals] == ["c1"]
    (approval,) = (await client.ask(operations.list_approvals, run_id=run_id)).approvals
    assert (approval.name, approval.arguments) == ("pay", '{"amount": 5}')
    decided = await client.ask(operations.decide, Decision(call_id="c1", decision="approve", by="ann"), run_id)
    assert isinstance(decided, ApprovalView)
    assert (decided.status, decided.decision and decided.decision.by) == ("approved", "ann")
    with pytest.raises(ApiError) as late:
        await client.ask(operations.decide, Decision(call_id="c1", decision="deny"), run_id)
    assert (late.value.status, late.value.problem["decision"]["by"]) == (409, "ann")
    events = await client.read(run_id)
    assert isinstance(events[0], RunAccepted)
    assert isinstance(events[-1], RunCompleted)
    assert events[-1].output == "Paid."
    assert await client.ask(operations.get_result, run_id, "c1") == "paid 5"
    first = await client.ask(operations.list_events, run_id, 2, 3)
    assert (list(first.events), first.next, first.done) == (events[2:5], 5, False)
    others = await client.ask(operations.list_events, run_id, first.next, view="raw")
    assert (list(others.events), others.done) == (events[5:], True)


@EITHER
async def test_a_run_is_listed_spoken_to_and_cancelled(client: Driver, front: Front) -> None:
    thread = f"t-{uuid4()}"
    run_id = await waiting(client, front, thread)
    listed = await client.ask(operations.list_runs, status="waiting", agent="inline", thread=thread, limit=1)
    assert ([run.id for run in listed.runs], listed.next) == ([run_id], run_id)
    assert (await client.ask(operations.list_runs, thread=thread, before=run_id)).runs == ()
    with pytest.raises(ApiError, match="thread") as busy:
        await client.ask(operations.start_run, {"model": "scripted/x"}, "too", thread_id=thread, on_busy="reject")
    assert (busy.value.status, busy.value.problem["run_id"]) == (409, run_id)
    assert (await client.ask(operations.say_to_run, run_id, "hurry", "ann", "once")).delivery == "delivered"
    assert await client.ask(operations.cancel_run, run_id, "too slow", "ann") == Delivered(
        run_id=run_id, delivery="delivered"
    )
    last = (await client.read(run_id))[-1]
    assert isinstance(last, RunCancelled)
    assert (last.reason, last.by) == ("too slow", "ann")
    assert (await client.ask(operations.cancel_run, run_id)).delivery == "over"
    with pytest.raises(ApiError, match="run_id") as late:
        await client.ask(operations.say_to_run, run_id, "hello?")
    assert late.value.status == 409


@EITHER
async def test_the_server_describes_itself(client: Driver) -> None:
    assert {"look", "pay"} <= {tool.name for tool in (await client.ask(operations.list_tools)).tools}
    assert (await client.ask(operations.get_health)).status == "ok"
    ready = await client.ask(operations.get_readiness)
    assert (ready.status, ready.temporal, ready.store) == ("ready", "ok", "ok")
    assert "/api/runs" in (await client.ask(operations.get_openapi))["paths"]
