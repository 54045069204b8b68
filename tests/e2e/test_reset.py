"""Resets by Temporal's command line, of chains, in the middle of effects, and with what a person has said since."""

import asyncio
from pathlib import Path

import pytest

from longrun.activities.toolbox.registry import tool
from longrun.activities.toolbox.tool import ToolContext
from tests.dev_server import found
from tests.gateway.reconcile.resetting import TOOLS, Model, Scene, calling, resets, saying, scene, tasks_done
from tests.harness import order, until
from tests.logcheck import of_type
from tests.provider_fake import Gate, Turn, call, text, turn
from tests.tools import note

pytestmark = pytest.mark.server


async def test_temporals_command_line_resets_a_run(temporal: str, tmp_path: Path) -> None:
    async with scene(temporal, tmp_path, Model(calling("write", "one"), saying("So so.", "Better."))) as on:
        run_id = await on.start()
        before = await on.whole(run_id)
        process = await asyncio.create_subprocess_exec(
            *(found().binary, "workflow", "reset", "--workflow-id", run_id, "--address", temporal),
            *("--type", "FirstWorkflowTask", "--reason", "from the beginning"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output
        resumed = await on.resumed(run_id)
        assert (resumed.first, resumed.last) == (2, len(before))
        await on.whole(run_id)
        assert (await on.front.run(run_id))["output"] == "Better."
        assert on.ledger == ["one", "one"]  # the model called the tool again, in another message


async def test_a_link_of_a_continued_run_can_be_reset_whether_it_is_the_newest_or_not(
    impatient_temporal: str, tmp_path: Path
) -> None:
    steps = [calling("write", str(number)) for number in range(1, 7)]
    async with scene(impatient_temporal, tmp_path, Model(*steps, saying("Done."))) as on:
        run_id = await on.start()
        first = await on.execution(run_id)
        await on.whole(run_id)
        second = await on.execution(run_id)
        assert first != second
        await on.reset(run_id, step=2)
        await on.resumed(run_id)
        await on.whole(run_id)
        done = len(on.ledger)
        assert 6 < done < 12
        await on.reset(run_id, step=2, execution=first)
        resumed = await on.resumed(run_id, 2)
        events = await on.whole(run_id)
        assert resumed.first == of_type(events, "step.started")[1].seq
        assert len(on.ledger) == done + 5


async def test_a_call_with_an_effect_that_a_reset_interrupts_is_not_run_again_unasked(
    temporal: str, tmp_path: Path
) -> None:
    gate = Gate()

    @tool(effect="write")
    async def hold(context: ToolContext) -> str:
        """Write a line, and wait."""
        note(context.workspace, "held")
        await gate.passed()
        return "held"

    def holding(_: int) -> Turn:
        return turn("I hold.", call("h1", "hold"))

    async with scene(temporal, tmp_path, Model(holding, saying("Done.")), (*TOOLS, hold)) as on:
        run_id = await on.start(order("hold"))
        await gate.reached.wait()
        await on.reset(run_id)
        (pending,) = (await on.front.waiting(run_id))["pending_approvals"]
        assert pending["call_id"] == "h1~2"
        await on.decide(run_id, "h1~2", "deny", reason="once is enough")
        await on.whole(run_id)
        assert on.ledger == ["held"]
        gate.open()


async def test_a_decision_that_was_made_before_the_reset_stands_where_its_question_does(
    temporal: str, tmp_path: Path
) -> None:
    def both(_: int) -> Turn:
        return turn(call("p1", "pay", {"line": "one"}), call("p2", "pay", {"line": "two"}))

    async with scene(temporal, tmp_path, Model(both, saying("Paid."))) as on:
        run_id = await on.start()
        await on.front.waiting(run_id)
        await on.decide(run_id, "p1", "approve")
        await until(lambda: on.services.recorded(run_id, "approval.decided"), "the decision in history")
        await on.harness.handle(run_id).terminate(reason="by mistake")
        await on.front.ended(run_id)
        await on.reset(run_id)
        await on.resumed(run_id)
        (pending,) = (await on.front.waiting(run_id))["pending_approvals"]
        assert pending["call_id"] == "p2"
        await on.decide(run_id, "p2", "deny")
        await on.whole(run_id)
        assert on.ledger == ["one"]


async def test_a_decision_that_a_reset_leaves_out_is_asked_again_and_the_call_is_not_run_twice_unasked(
    temporal: str, tmp_path: Path
) -> None:
    async with scene(temporal, tmp_path, Model(calling("pay", "one"), saying("Paid."))) as on:
        run_id = await on.start()
        await on.front.waiting(run_id)
        await until(lambda: on.services.recorded(run_id, "run.waiting"), "the pause in history")
        await on.harness.handle(run_id).signal("say", {"text": "Take your time.", "id": "s1"})
        await until(lambda: tasks_done(on, run_id, 3), "a task after the pause")
        await on.services.decide(run_id, "pay-one", "approve")
        await on.whole(run_id)
        await on.reset(run_id, task=3, signals=False)
        await on.resumed(run_id)
        (pending,) = (await on.front.waiting(run_id))["pending_approvals"]
        assert pending["call_id"] == "pay-one"
        await on.decide(run_id, "pay-one", "approve")
        await until(lambda: has_question(on, run_id), "a question about the call that has run")
        await on.decide(run_id, "pay-one~2", "deny", reason="it was paid")
        await on.whole(run_id)
        assert on.ledger == ["one"]


async def test_a_question_that_is_asked_again_without_its_decision_can_be_decided_again(
    temporal: str, tmp_path: Path
) -> None:
    async with scene(temporal, tmp_path, Model(calling("pay", "one"), saying("Paid."))) as on:
        run_id = await on.start()
        await on.front.waiting(run_id)
        await on.decide(run_id, "pay-one", "approve")
        await on.whole(run_id)
        await on.reset(run_id, task=2, signals=False)
        assert (await on.front.waiting(run_id))["turn"] == 1
        await on.decide(run_id, "pay-one", "deny")
        events = await on.whole(run_id)
        assert (events[-1].type, on.ledger) == ("run.completed", ["one"])


async def has_question(on: Scene, run_id: str) -> bool:
    """Whether a person is asked about a call that may have run."""
    return any(row.status == "pending" for row in await on.services.stores.approvals.find(call_id="pay-one~2"))


async def test_a_cancel_that_is_sent_again_after_a_reset_ends_the_run_where_it_was_set_back_to(
    temporal: str, tmp_path: Path
) -> None:
    gate = Gate()

    def last(_: int) -> Turn:
        return turn(text("I ", gate))

    async with scene(temporal, tmp_path, Model(calling("write", "one"), calling("write", "two"), last)) as on:
        run_id = await on.start()
        await gate.reached.wait()
        await on.harness.handle(run_id).signal("cancel", {"by": "ann"})
        await on.whole(run_id)
        first = await on.execution(run_id)
        await on.reset(run_id, step=2)
        resumed = await on.resumed(run_id)
        events = await on.whole(run_id)
        assert resumed.first == of_type(events, "step.started")[1].seq
        assert events[-1].type == "run.cancelled"
        await on.reset(run_id, step=2, execution=first, signals=False)
        gate.open()
        await on.resumed(run_id, 2)
        events = await on.whole(run_id)
        assert (events[-1].type, len(resets(events))) == ("run.completed", 2)
