"""A run from its start to its end, on a real server."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from longrun.activities.failures import ProviderFailure
from longrun.activities.providers.provider import ModelRequest
from longrun.store.runs import Acceptance
from longrun.workflows.contract.events import Event, RunCompleted, RunFailed, ToolCompleted
from longrun.workflows.contract.messages import ToolResultPart
from longrun.workflows.transcript import paired
from tests.harness import harnessed, order
from tests.logcheck import of_type, settled_text
from tests.provider_fake import Gate, Turn, call, in_turn, reasoning, requested, text, turn
from tests.tools import TOOLS, held

pytestmark = pytest.mark.server

LOOKS = turn(reasoning("hm"), "Let me look.", call("c1", "look", {"what": "sea"}))
ENDS = turn("It is blue.")


def results(events: Sequence[Event]) -> dict[str, tuple[str, str]]:
    """Status and content of each call's result."""
    return {event.call_id: (event.status, event.content) for event in events if isinstance(event, ToolCompleted)}


async def test_a_run_asks_the_model_runs_its_tool_and_ends_with_its_answer(temporal: str, tmp_path: Path) -> None:
    async with harnessed(temporal, tmp_path, in_turn(LOOKS, ENDS), TOOLS) as harness:
        handle = await harness.start(order("look"))
        outcome, events = await harness.ended(handle)
        snapshot = await harness.phase(handle, "finished")
    assert outcome.stop_reason == "end_turn"
    assert settled_text(events) == "Let me look.It is blue."
    assert results(events) == {"c1": ("ok", "saw sea")}
    assert isinstance(events[-1], RunCompleted)
    assert (events[-1].output, events[-1].usage.input_tokens) == ("It is blue.", 20)
    assert (snapshot.step, snapshot.turn, snapshot.usage) == (2, 1, events[-1].usage)


async def test_every_task_can_be_replayed_from_the_beginning(temporal: str, tmp_path: Path) -> None:
    script = in_turn(LOOKS, turn(call("c2", "look", {"what": "sky"}), call("c3", "pay")), ENDS)
    async with harnessed(temporal, tmp_path, script, TOOLS, max_cached_workflows=0) as harness:
        handle = await harness.start(order("look", "pay"))
        await harness.phase(handle, "waiting")
        await handle.signal("decide", {"call_id": "c3", "decision": "deny"})
        outcome, events = await harness.ended(handle)
    assert outcome.status == "completed"
    assert results(events)["c3"][0] == "denied"


async def test_the_calls_of_a_message_run_at_the_same_time(temporal: str, tmp_path: Path) -> None:
    gates = Gate(), Gate()
    tools = held(gates[0], "one"), held(gates[1], "two")
    script = in_turn(turn(call("c1", "one"), call("c2", "two")), ENDS)
    async with harnessed(temporal, tmp_path, script, tools) as harness:
        handle = await harness.start(order("one", "two"))
        for gate in gates:
            await gate.reached.wait()
        for gate in gates:
            gate.open()
        _, events = await harness.ended(handle)
        said = harness.provider.requests[1].messages[-1].parts
    assert results(events) == {"c1": ("ok", "let go"), "c2": ("ok", "let go")}
    assert [part.call_id for part in said if isinstance(part, ToolResultPart)] == ["c1", "c2"]


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("fly", "{}", "There is no tool of this name here."),
        ("pay", '{"amount": 5', "not a JSON object"),
        ("pay", '{"amount": NaN}', "not a JSON object"),
        ("pay", '{"amount": "much", "to": 1}', "are not valid"),
        ("look", "[1]", "not a JSON object"),
        ("look", "[" * 100_000, "nested too deeply"),
    ],
)
async def test_a_call_that_makes_no_sense_is_a_result_the_model_sees(
    temporal: str, tmp_path: Path, name: str, arguments: str, answer: str
) -> None:
    async with harnessed(temporal, tmp_path, in_turn(turn(call("c1", name, arguments)), ENDS), TOOLS) as harness:
        handle = await harness.start(order("look", {"name": "pay", "approval": "never"}))
        outcome, events = await harness.ended(handle)
        seen = harness.provider.requests[1].messages[-1].parts[0]
    assert outcome.status == "completed"
    status, content = results(events)["c1"]
    assert status == "error"
    assert answer in content
    assert isinstance(seen, ToolResultPart)
    assert seen.content == content


async def test_a_tool_that_the_agent_was_not_given_is_unknown_to_it(temporal: str, tmp_path: Path) -> None:
    async with harnessed(temporal, tmp_path, in_turn(turn(call("c1", "pay")), ENDS), TOOLS) as harness:
        handle = await harness.start(order("look"))
        _, events = await harness.ended(handle)
        offered = [spec.name for spec in harness.provider.requests[0].tools]
    assert results(events)["c1"][0] == "error"
    assert offered == ["look"]


async def test_the_steps_of_a_run_are_counted(temporal: str, tmp_path: Path) -> None:
    def script(request: ModelRequest) -> Turn:
        return turn(call(f"c{request.step}", "look", {"what": "sea"}))

    async with harnessed(temporal, tmp_path, script, TOOLS) as harness:
        handle = await harness.start(order("look", max_steps=3))
        outcome, events = await harness.ended(handle)
    assert (outcome.status, outcome.stop_reason) == ("completed", "max_steps")
    assert len(of_type(events, "step.started")) == 3


async def test_a_paused_answer_is_continued(temporal: str, tmp_path: Path) -> None:
    script = in_turn(turn("First.", finish="pause"), turn("Second."))
    async with harnessed(temporal, tmp_path, script) as harness:
        handle = await harness.start(order())
        outcome, events = await harness.ended(handle)
    assert outcome.stop_reason == "end_turn"
    assert settled_text(events) == "First.Second."


async def test_a_refused_request_fails_the_run_at_once(temporal: str, tmp_path: Path) -> None:
    async with harnessed(temporal, tmp_path, in_turn(turn(ProviderFailure("fatal", "no such key")))) as harness:
        handle = await harness.start(order())
        outcome, events = await harness.ended(handle)
        requests = requested(harness.provider)
    assert (outcome.status, outcome.stop_reason) == ("failed", "llm_api_error")
    assert isinstance(events[-1], RunFailed)
    assert events[-1].error.message == "no such key"
    assert requests == [(1, 1)]


@pytest.mark.parametrize("error", [ProviderFailure("transient", "reset", retry_after=0.01), None])
async def test_a_broken_stream_is_asked_again_and_what_it_said_is_superseded(
    temporal: str, tmp_path: Path, error: ProviderFailure | None
) -> None:
    gate = Gate()
    broken = Turn((text("It is ", gate, *([error] if error else [])),), ends=False)

    def script(request: ModelRequest) -> Turn:
        return broken if request.attempt == 1 else ENDS

    async with harnessed(temporal, tmp_path, script) as harness:
        handle = await harness.start(order())
        await harness.seen(handle.id, "text.delta")
        gate.open()
        _, events = await harness.ended(handle)
        requests = requested(harness.provider)
    assert requests == [(1, 1), (1, 2)]
    assert settled_text(events) == "It is blue."
    assert len(of_type(events, "attempt.superseded")) == 1


async def test_a_model_that_always_fails_is_asked_ten_times(temporal: str, tmp_path: Path) -> None:
    failing = turn(text("It", ProviderFailure("invalid", "broken", retry_after=0.01)))
    async with harnessed(temporal, tmp_path, in_turn(failing)) as harness:
        handle = await harness.start(order())
        outcome, events = await harness.ended(handle)
        requests = requested(harness.provider)
    assert (outcome.status, outcome.stop_reason) == ("failed", "invalid_llm_response")
    assert requests == [(1, attempt) for attempt in range(1, 11)]
    assert settled_text(events) == ""


@pytest.mark.parametrize(
    "full",
    [turn(ProviderFailure("overflow", "prompt is too long")), turn("I", finish="overflow")],
    ids=["refused", "cut"],
)
async def test_a_conversation_that_is_too_long_fails_the_run(temporal: str, tmp_path: Path, full: Turn) -> None:
    async with harnessed(temporal, tmp_path, in_turn(full)) as harness:
        handle = await harness.start(order())
        outcome, _ = await harness.ended(handle)
    assert (outcome.status, outcome.stop_reason) == ("failed", "context_overflow")


async def test_a_run_sees_what_the_run_before_it_on_the_thread_said(temporal: str, tmp_path: Path) -> None:
    gate = Gate()

    def script(request: ModelRequest) -> Turn:
        first = request.messages[-1].text == "one"
        return turn(call("same", "hold")) if first or request.messages[-1].text == "two" else ENDS

    async with harnessed(temporal, tmp_path, script, [held(gate)]) as harness:
        one = order("hold", text="one", thread_id="thread")
        two = order("hold", text="two", thread_id="thread")
        first = await harness.start(one)
        await gate.reached.wait()
        assert (await harness.stores.runs.accept(Acceptance(two))).ready is False
        waiting = await harness.row(two.run_id)
        gate.open()
        await harness.ended(first)
        _, events = await harness.ended(harness.handle(two.run_id))
        seen = harness.provider.requests[-1].messages
    assert waiting.status == "queued"
    assert seen == paired(seen)
    assert [message.text for message in seen if message.role == "user"] == ["one", "two"]
    assert "It is blue." in [message.text for message in seen]
    assert list(results(events)) != ["same"]
