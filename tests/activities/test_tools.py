"""A tool call as an activity, without a server: once if it has an effect, again if it only reads, one result always."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.toolbox.registry import Toolbox, tool
from activities.toolbox.tool import ToolContext
from activities.tools import CANCELLED, INTERRUPTED, ToolActivities
from tests.build import Stores, at, calls
from tests.build import tool_call as ordered
from tests.logcheck import parsed
from tests.provider_fake import Gate
from tests.tools import held, look, note, noted
from workflows.contract.events import Event, ToolProgress, ToolStarted
from workflows.contract.messages import ToolResultPart
from workflows.contract.steps import ModelCall, ToolCall, ToolOutcome


@tool(effect="write")
async def pay(context: ToolContext, q: str) -> str:
    """Pay for something."""
    note(context.workspace, q)
    return f"paid {q}"


@tool(effect="write", on_interrupted="retry")
async def book(context: ToolContext, q: str) -> str:
    """Book something under the call's id, which the other side knows again."""
    note(context.workspace, context.call_id)
    return f"booked {q}"


@tool()
async def search(q: str) -> str:
    """Search for something."""
    return f"found {q}"


class Desk:
    """The activity over a store with a run in it that has called a tool."""

    def __init__(self, stores: Stores, workspace: Path) -> None:
        self.stores = stores
        self.workspace = workspace
        self.gate = Gate()
        self.environment = ActivityEnvironment()
        tools = [look, search, pay, book, held(self.gate)]
        self._activities = ToolActivities(Toolbox(tools), stores.calls, workspace)

    async def called(self, name: str, call_id: str = "c1") -> ToolCall:
        """A run whose model has called a tool with ``{"q": "é"}``."""
        run_id = (await self.stores.accept()).run_id
        message = calls(call_id, tool=name)
        await self.stores.ask(ModelCall(run_id=run_id, step=1), message)
        return ordered(run_id, 1, message.calls[0])

    async def run(self, call: ToolCall) -> ToolOutcome:
        """Run the activity."""
        return await self.environment.run(self._activities.run_tool, call)

    async def interrupted(self, name: str) -> ToolCall:
        """A call that a worker began and left."""
        call = await self.called(name)
        begun = await self.stores.calls.begin(call, None, "worker-1", at(1))
        assert begun.attempt == 1
        return call

    async def events(self, call: ToolCall) -> list[Event]:
        """The log as it stands."""
        return parsed(await self.stores.lines(call.run_id))


@pytest_asyncio.fixture
async def desk(stores: Stores, tmp_path: Path) -> AsyncIterator[Desk]:
    yield Desk(stores, tmp_path / "work" / "space")


async def test_a_result_is_kept_as_event_message_and_outcome(desk: Desk) -> None:
    call = await desk.called("search")
    outcome = await desk.run(call)
    assert (outcome.status, outcome.content, outcome.attempt) == ("ok", "found é", 1)
    *_, started, completed = await desk.events(call)
    assert (started.type, completed.type) == ("tool.started", "tool.completed")
    *_, message = await desk.stores.messages.of_run(call.run_id)
    assert message.parts == (ToolResultPart(call_id="c1", name="search", content="found é"),)


async def test_a_call_that_has_its_result_returns_it_and_runs_nothing(desk: Desk) -> None:
    call = await desk.called("pay")
    first = await desk.run(call)
    assert await desk.run(call) == first
    assert noted(desk.workspace) == ["é"]


async def test_an_edited_call_runs_with_the_reviewers_arguments(desk: Desk) -> None:
    call = (await desk.called("pay")).model_copy(update={"args": {"q": "less"}})
    outcome = await desk.run(call)
    assert (outcome.content, outcome.arguments) == ("paid less", '{"q":"less"}')
    (started,) = (event for event in await desk.events(call) if isinstance(event, ToolStarted))
    assert started.arguments == '{"q":"less"}'


async def test_an_interrupted_call_with_an_effect_is_answered_and_not_run(desk: Desk) -> None:
    outcome = await desk.run(await desk.interrupted("pay"))
    assert (outcome.status, outcome.content, outcome.attempt) == ("error", INTERRUPTED, 2)
    assert noted(desk.workspace) == []


async def test_an_interrupted_call_that_may_be_repeated_runs_again_with_its_id(desk: Desk) -> None:
    outcome = await desk.run(await desk.interrupted("book"))
    assert (outcome.status, outcome.content) == ("ok", "booked é")
    assert noted(desk.workspace) == ["c1"]


@pytest.mark.parametrize("name", ["search", "dance"])
async def test_an_interrupted_call_that_changes_nothing_runs_again(desk: Desk, name: str) -> None:
    call = await desk.interrupted(name)
    outcome = await desk.run(call)
    assert outcome.attempt == 2
    assert outcome.content.startswith("found" if name == "search" else "There is no tool named 'dance'")
    assert len([event for event in await desk.events(call) if isinstance(event, ToolStarted)]) == 1


async def test_what_a_tool_reports_is_in_the_log_while_it_runs(desk: Desk) -> None:
    call = (await desk.called("hold")).model_copy(update={"args": {}})
    running = asyncio.create_task(desk.run(call))
    await desk.gate.reached.wait()
    reports = [event for event in await desk.events(call) if isinstance(event, ToolProgress)]
    assert [event.data for event in reports] == [{"attempt": 1, "nothing": None}]
    desk.gate.open()
    outcome = await running
    assert [report.stamp.first for report in outcome.progress] == [event.seq for event in reports]


async def test_a_cancel_by_the_run_is_the_calls_result(desk: Desk) -> None:
    call = (await desk.called("hold")).model_copy(update={"args": {}})
    running = asyncio.create_task(desk.run(call))
    await desk.gate.reached.wait()
    desk.environment.cancel(ActivityCancellationDetails(cancel_requested=True))
    outcome = await running
    assert (outcome.status, outcome.content) == ("cancelled", CANCELLED)


async def test_a_cancel_that_the_run_did_not_want_leaves_the_call_to_the_next_attempt(desk: Desk) -> None:
    call = (await desk.called("hold")).model_copy(update={"args": {}})
    running = asyncio.create_task(desk.run(call))
    await desk.gate.reached.wait()
    desk.environment.cancel(ActivityCancellationDetails(worker_shutdown=True))
    with pytest.raises(asyncio.CancelledError):
        await running
    begun = await desk.stores.calls.begin(call, None, "worker-2", at(2))
    assert (begun.attempt, begun.interrupted, begun.outcome) == (2, True, None)


async def test_an_attempt_that_was_overtaken_keeps_no_result(desk: Desk) -> None:
    call = (await desk.called("hold")).model_copy(update={"args": {}})
    running = asyncio.create_task(desk.run(call))
    await desk.gate.reached.wait()
    await desk.stores.calls.begin(call, None, "worker-2", at(2))
    desk.gate.open()
    with pytest.raises(ApplicationError) as refused:
        await running
    assert (refused.value.type, refused.value.non_retryable) == ("fenced", False)
    assert (await desk.events(call))[-1].type == "tool.progress"
