"""A tool call as an activity, without a server: once if it has an effect, again if it only reads, one result always."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from longrun.activities.failures import MOST_FAILURES
from longrun.activities.in_flight import InFlight
from longrun.activities.toolbox.registry import Toolbox, tool
from longrun.activities.toolbox.tool import ToolContext
from longrun.activities.tools import CANCELLED, GIVEN_UP, INTERRUPTED, ToolActivities
from longrun.store.attempts import Attempts, Taker
from longrun.store.blobs import MOST_BYTES, Blobs, KeptResult
from longrun.store.calls import MOST_LOST
from longrun.workflows.contract.attempts import AttemptEntry
from longrun.workflows.contract.events import Event, ToolCompleted, ToolProgress, ToolStarted
from longrun.workflows.contract.messages import ToolResultPart
from longrun.workflows.contract.requests import ModelCall, ToolCall
from longrun.workflows.contract.results import ToolOutcome
from tests.build import Stores, at, calls
from tests.build import tool_call as ordered
from tests.logcheck import parsed
from tests.provider_fake import Gate
from tests.tools import held, look, note, noted

WORKER = "worker"


@tool(effect="write")
async def pay(context: ToolContext, q: str) -> str:
    """Pay for something."""
    note(context.workspace, q)
    return f"paid {q}"


@tool(effect="write", on_interrupted="fail")
async def post(context: ToolContext, q: str) -> str:
    """Post a letter."""
    note(context.workspace, q)
    return f"posted {q}"


@tool(return_char_limit=10)
async def recite(q: str) -> str:
    """Recite something long."""
    return q * 20


@tool(effect="write", return_char_limit=10)
async def shout(q: str) -> str:
    """Shout more than anybody keeps."""
    return q * MOST_BYTES


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
        tools = [look, search, pay, book, post, recite, shout, held(self.gate)]
        self._activities = ToolActivities(
            Toolbox(tools), stores.runs, stores.calls, workspace, blobs=stores.blobs, in_flight=InFlight(WORKER)
        )

    async def called(self, name: str, call_id: str = "c1") -> ToolCall:
        """A run whose model has called a tool with ``{"q": "é"}``."""
        run_id = (await self.stores.accept()).run_id
        message = calls(call_id, tool=name)
        await self.stores.ask(ModelCall(run_id=run_id, step=1), message)
        return ordered(run_id, 1, message.calls[0])

    async def run(self, call: ToolCall) -> ToolOutcome:
        """Run the activity."""
        return await self.environment.run(self._activities.run_tool, call)

    async def interrupted(self, name: str, times: int = 1) -> ToolCall:
        """A call that workers began and left."""
        call = await self.called(name)
        for attempt in range(1, times + 1):
            started = await self.stores.calls.begin(call, None, Taker(f"worker-{attempt}", at(attempt)))
            assert started.number == attempt
        return call

    async def attempts(self, call: ToolCall) -> list[AttemptEntry]:
        """The attempts of a call."""
        found = await Attempts(self.stores.database).of_run(call.run_id)
        ours = [entry for entry in found if entry.call_id == call.call_id]
        return sorted(ours, key=lambda entry: entry.attempt)

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
    *_, message = await desk.stores.messages_of(call.run_id)
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


async def halted_attempt(desk: Desk, call: ToolCall) -> int:
    """Run a call about which a person must be asked; the attempt that is asked about."""
    with pytest.raises(ApplicationError, match="its worker died or was shut down") as halted:
        await desk.run(call)
    assert (halted.value.type, halted.value.non_retryable) == ("interrupted", True)
    return halted.value.details[0]


async def test_an_interrupted_call_with_an_effect_is_for_a_person_to_decide(desk: Desk) -> None:
    call = await desk.interrupted("pay")
    assert [await halted_attempt(desk, call) for _ in range(2)] == [2, 2]
    assert noted(desk.workspace) == []
    (attempt,) = await desk.attempts(call)
    assert (attempt.worker, attempt.outcome) == ("worker-1", "lost")


async def test_an_interrupted_call_that_a_person_agreed_to_runs_again_with_its_id(desk: Desk) -> None:
    call = await desk.interrupted("pay")
    agreed = call.model_copy(update={"again": await halted_attempt(desk, call), "args": {"q": "less"}})
    outcome = await desk.run(agreed)
    assert (outcome.status, outcome.content, outcome.attempt) == ("ok", "paid less", 2)
    assert [(entry.outcome, entry.recovered) for entry in outcome.attempts] == [
        ("lost", "none"),
        ("completed", "reissued"),
    ]
    assert outcome.attempts[1].worker == WORKER
    assert await desk.run(agreed) == outcome
    assert noted(desk.workspace) == ["less"]


async def test_agreement_counts_for_one_attempt_alone(desk: Desk) -> None:
    call = await desk.interrupted("pay")
    agreed = call.model_copy(update={"again": await halted_attempt(desk, call)})
    assert (await desk.stores.calls.begin(agreed, None, Taker("worker-2", at(2)), repeats=False)).halted is None
    assert await halted_attempt(desk, agreed) == 3
    assert await halted_attempt(desk, call) == 3
    assert noted(desk.workspace) == []


async def test_while_a_person_is_asked_a_worker_that_was_taken_for_dead_can_give_no_result(desk: Desk) -> None:
    call = (await desk.called("hold")).model_copy(update={"args": {}})
    running = asyncio.create_task(desk.run(call))
    await desk.gate.reached.wait()
    halted = await desk.stores.calls.begin(call, None, Taker("worker-2", at(2)), repeats=False)
    assert (halted.number, halted.halted) == (2, "interrupted")
    desk.gate.open()
    with pytest.raises(ApplicationError, match="overtaken"):
        await running


async def test_an_interrupted_call_of_a_tool_that_says_fail_is_answered_and_not_run(desk: Desk) -> None:
    outcome = await desk.run(await desk.interrupted("post"))
    assert (outcome.status, outcome.content, outcome.attempt) == ("error", INTERRUPTED, 1)
    assert [entry.outcome for entry in outcome.attempts] == ["lost"]
    assert noted(desk.workspace) == []


@pytest.mark.parametrize("name", ["search", "book"])
async def test_a_call_that_loses_every_worker_is_given_up(desk: Desk, name: str) -> None:
    outcome = await desk.run(await desk.interrupted(name, MOST_LOST))
    assert (outcome.status, outcome.content) == ("error", GIVEN_UP)
    assert [entry.outcome for entry in outcome.attempts] == ["lost"] * MOST_LOST
    assert noted(desk.workspace) == []


async def test_a_call_with_an_effect_that_is_given_up_may_have_had_it(desk: Desk) -> None:
    outcome = await desk.run(await desk.interrupted("pay", MOST_LOST))
    assert outcome.content == f"{GIVEN_UP} It may have had its effect."


async def test_a_call_that_was_handed_over_often_is_not_given_up(desk: Desk) -> None:
    call = await desk.interrupted("search")
    for attempt in range(1, 2 * MOST_LOST):
        await desk.stores.calls.hand_over(call, attempt, at(attempt))
        await desk.stores.calls.begin(call, None, Taker("worker", at(attempt)))
    assert (await desk.run(call)).status == "ok"


async def test_a_call_that_the_store_has_lost_is_tried_again_later(desk: Desk) -> None:
    call = await desk.called("search")
    with pytest.raises(ApplicationError, match="made no call") as unknown:
        await desk.run(call.model_copy(update={"call_id": "c9"}))
    assert not unknown.value.non_retryable
    assert unknown.value.next_retry_delay


async def test_a_result_that_is_too_long_is_kept_whole_and_shown_by_its_beginning(desk: Desk) -> None:
    call = await desk.called("recite")
    outcome = await desk.run(call)
    where = f"/api/runs/{call.run_id}/results/c1"
    assert outcome.content == f"éééééééééé\n[cut: the first 10 of 20 characters; all of it: {where}]"
    assert outcome.whole == hashlib.sha256(("é" * 20).encode()).hexdigest()
    kept = await Blobs(desk.stores.database).result(call.run_id, "c1")
    assert kept == KeptResult(outcome, ("é" * 20).encode())
    *_, completed = await desk.events(call)
    *_, message = await desk.stores.messages_of(call.run_id)
    assert isinstance(completed, ToolCompleted)
    assert (completed.content, completed.whole) == (outcome.content, outcome.whole)
    assert message.parts == (ToolResultPart(call_id="c1", name="recite", content=outcome.content, whole=outcome.whole),)


async def test_of_a_result_beyond_all_measure_the_first_bytes_are_kept(desk: Desk) -> None:
    call = await desk.called("shout")
    outcome = await desk.run(call)
    assert f"of {MOST_BYTES} characters; its first {MOST_BYTES} bytes: " in outcome.content
    kept = await Blobs(desk.stores.database).result(call.run_id, "c1")
    assert kept
    assert kept.body
    assert len(kept.body) == MOST_BYTES
    assert set(kept.body.decode()) == {"é"}


async def test_an_interrupted_call_that_may_be_repeated_runs_again_with_its_id(desk: Desk) -> None:
    outcome = await desk.run(await desk.interrupted("book"))
    assert (outcome.status, outcome.content) == ("ok", "booked é")
    assert noted(desk.workspace) == ["c1"]


async def test_a_call_waits_for_a_worker_that_has_its_tool(desk: Desk) -> None:
    call = await desk.called("dance")
    with pytest.raises(ApplicationError) as error:
        await desk.run(call)
    assert (error.value.type, error.value.non_retryable) == ("no_such_tool", False)
    assert error.value.message == "this worker has no tool named dance"
    desk.environment.info = replace(desk.environment.info, attempt=MOST_FAILURES)
    with pytest.raises(ApplicationError) as error:
        await desk.run(call)
    assert error.value.non_retryable


async def test_an_interrupted_call_that_changes_nothing_runs_again(desk: Desk) -> None:
    call = await desk.interrupted("search")
    outcome = await desk.run(call)
    assert outcome.attempt == 2
    assert outcome.content.startswith("found")
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
    desk.environment.cancel(ActivityCancellationDetails(timed_out=True))
    with pytest.raises(asyncio.CancelledError):
        await running
    attempt = await desk.stores.calls.begin(call, None, Taker("worker-2", at(2)))
    assert (attempt.number, attempt.interrupted, attempt.outcome) == (2, True, None)


async def test_a_worker_that_is_shut_down_hands_its_call_over_at_once(desk: Desk) -> None:
    call = (await desk.called("hold")).model_copy(update={"args": {}})
    running = asyncio.create_task(desk.run(call))
    await desk.gate.reached.wait()
    desk.environment.worker_shutdown()
    desk.environment.cancel(ActivityCancellationDetails(worker_shutdown=True))
    with pytest.raises(ApplicationError) as handed:
        await running
    assert (handed.value.type, handed.value.non_retryable) == ("handed_over", False)
    assert handed.value.next_retry_delay == timedelta(milliseconds=1)
    await desk.stores.calls.begin(call, None, Taker("worker-2", at(2)))
    assert [entry.outcome for entry in await desk.attempts(call)] == ["handed_over", None]


async def test_a_worker_that_is_shut_down_while_a_call_begins_does_not_run_it(desk: Desk) -> None:
    call = await desk.called("pay")
    free = threading.Event()
    held_up = asyncio.create_task(desk.stores.database.write(lambda _: free.wait()))
    running = asyncio.create_task(desk.run(call))
    for _ in range(10):  # turns of the loop, after which the call waits for the store
        await asyncio.sleep(0)
    desk.environment.worker_shutdown()
    desk.environment.cancel(ActivityCancellationDetails(worker_shutdown=True))
    free.set()
    await held_up
    with pytest.raises(ApplicationError, match="shut down"):
        await running
    assert noted(desk.workspace) == []


async def test_an_attempt_that_was_overtaken_keeps_no_result(desk: Desk) -> None:
    call = (await desk.called("hold")).model_copy(update={"args": {}})
    running = asyncio.create_task(desk.run(call))
    await desk.gate.reached.wait()
    await desk.stores.calls.begin(call, None, Taker("worker-2", at(2)))
    desk.gate.open()
    with pytest.raises(ApplicationError) as refused:
        await running
    assert (refused.value.type, refused.value.non_retryable) == ("fenced", False)
    assert (await desk.events(call))[-1].type == "tool.progress"
