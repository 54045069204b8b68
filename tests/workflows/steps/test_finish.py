"""The end of a run: what is said while it is written is not lost, and what cannot be written is no end."""

from pathlib import Path

import pytest
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from typing_extensions import override

from longrun.activities.lifecycle import LifecycleActivities
from longrun.store.db.sql import run_sql
from longrun.workflows.contract.requests import Finish
from longrun.workflows.contract.results import Finished
from longrun.workflows.contract.runs import RunOrder
from tests.harness import Harness, harnessed, order, unserved, worker
from tests.provider_fake import Gate, in_turn, text, turn
from tests.workflows.steps.test_people import rebuilt_log

pytestmark = pytest.mark.server


async def accept_message(harness: Harness, run_id: str) -> None:
    """Accept a user's message, whose signal is late."""
    say = (
        "INSERT INTO outbox (run_id, key, kind, body, created_at, received)"
        " VALUES (?, ?, 'say', '{}', CURRENT_TIMESTAMP, FALSE)"
    )
    await harness.stores.database.write(lambda tx: run_sql(tx, say, run_id, f"say:{run_id}:s1"))


async def test_what_was_said_while_the_last_answer_came_is_heard_even_if_its_signal_is_late(
    temporal: str, tmp_path: Path
) -> None:
    gate = Gate()
    async with harnessed(temporal, tmp_path, in_turn(turn(text("Bye", gate, ".")), turn("Ah."))) as harness:
        handle = await harness.start(order())
        await gate.reached.wait()
        await accept_message(harness, handle.id)
        gate.open()
        await harness.phase(handle, "finishing")
        await handle.signal("say", {"text": "wait", "id": "s1"})
        outcome, events = await harness.ended(handle)
        assert await rebuilt_log(harness, handle.id) == events
        prompted = [message.text for message in harness.provider.requests[-1].messages]
    assert outcome.stop_reason == "end_turn"
    assert prompted == ["hello", "Bye.", "wait"]


async def test_a_run_that_waits_for_a_message_can_be_cancelled(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with harnessed(temporal, tmp_path, in_turn(turn(text("Bye", gate, ".")))) as harness:
        handle = await harness.start(order())
        await gate.reached.wait()
        await accept_message(harness, handle.id)
        gate.open()
        await harness.phase(handle, "finishing")
        await handle.signal("cancel", {"by": "ann"})
        outcome, _ = await harness.ended(handle)
    assert outcome.status == "cancelled"


async def test_a_message_that_never_comes_does_not_keep_a_run_for_ever(temporal: str, tmp_path: Path) -> None:
    gate = Gate()
    async with harnessed(temporal, tmp_path, in_turn(turn(text("Bye", gate, ".")))) as harness:
        handle = await harness.start(order())
        await gate.reached.wait()
        await accept_message(harness, handle.id)
        gate.open()
        outcome, _ = await harness.ended(handle)
    assert (outcome.status, outcome.stop_reason) == ("completed", "end_turn")


class _NoEnd(LifecycleActivities):
    """Cannot write the end of a run."""

    def __init__(self, harness: Harness) -> None:
        stores = harness.stores
        super().__init__(stores.runs, stores.calls, stores.approvals, _start, _cancel, blobs=stores.blobs)

    @override
    @activity.defn
    async def finish_run(self, finish: Finish) -> Finished:
        raise ApplicationError(f"no end of {finish.run_id} can be written", type="internal_error", non_retryable=True)


async def _start(_order: RunOrder) -> None: ...


async def _cancel(_model: str, _response_id: str) -> None: ...


async def test_a_run_whose_end_cannot_be_written_fails_in_temporal(temporal: str, tmp_path: Path) -> None:
    async with unserved(temporal, tmp_path, in_turn(turn("Bye."))) as harness:
        kept = [each for each in harness.process.activities if each.__name__ != "finish_run"]
        async with worker(harness, activities=[*kept, _NoEnd(harness).finish_run]):
            handle = await harness.start(order())
            with pytest.raises(WorkflowFailureError):
                await handle.result()
