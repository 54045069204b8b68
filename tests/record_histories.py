"""Records a run of each kind in ``tests/histories``: ``python -m tests.record_histories [KIND ...]``.

Each run goes through a real gateway, a real worker and a real Temporal server, which finds a history long early.
"""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter

from longrun.activities.failures import ProviderFailure
from longrun.activities.providers.provider import ModelRequest
from tests.dev_server import IMPATIENT, dev_server
from tests.history_files import FOLDER, save
from tests.provider_fake import Gate, Turn, call, in_turn, reasoning, text, turn
from tests.running import Front, running
from tests.tools import TOOLS, held, snapping

DONE = turn("All is done.")
PAYS = turn("I pay twice.", call("c1", "pay", {"amount": 5}), call("c2", "pay", {"amount": 6}))
LONG = 9
MODEL, BREAK, TOOL, SAID = Gate(), Gate(), Gate(), Gate()
"""Where a model, one that breaks, a tool that is cancelled, and one that goes on are held up."""


@dataclass(frozen=True)
class Play:
    """A run that is under way."""

    front: Front
    run_id: str

    async def post(self, path: str, body: Mapping[str, object]) -> None:
        """Ask the gateway for something."""
        answer = await self.front.http.post(path, json=body)
        assert answer.status_code in (200, 202), answer.text

    async def decide(self, call_id: str, decision: str, **more: object) -> None:
        """Decide a call."""
        body = {"decision": decision, "by": "ann", "run_id": self.run_id, **more}
        await self.post(f"/api/approvals/{call_id}", body)

    async def decide_all(self, *decisions: Mapping[str, Any]) -> None:
        """Wait until the run waits, and decide its calls."""
        await self.front.waiting(self.run_id)
        for number, decision in enumerate(decisions, 1):
            await self.decide(f"c{number}", **decision)

    async def cancel(self) -> None:
        """Cancel the run."""
        await self.post(f"/api/runs/{self.run_id}/cancel", {"reason": "enough", "by": "ann"})

    async def say(self, text: str) -> None:
        """Say something to the run."""
        await self.post(f"/api/runs/{self.run_id}/messages", {"text": text, "by": "ann"})

    async def streamed(self) -> None:
        """Wait until the log has some of the model's text."""
        stream = f"/api/runs/{self.run_id}/stream?view=raw"
        async with self.front.http.stream("GET", stream) as response:
            async for line in response.aiter_lines():
                if line == "event: text.delta":
                    return


async def _nothing(_play: Play) -> None:
    """Most runs go by themselves."""


@dataclass(frozen=True)
class Kind:
    """What the model says in a run, the run's limits, and what people do."""

    says: Callable[[ModelRequest], Turn]
    limits: Mapping[str, float] = field(default_factory=dict[str, float])
    people: Callable[[Play], Awaitable[None]] = _nothing


async def _approve_and_edit(play: Play) -> None:
    await play.decide_all({"decision": "approve"}, {"decision": "edit", "args": {"amount": 1}})


async def _deny_and_answer(play: Play) -> None:
    await play.decide_all({"decision": "deny", "reason": "too much"}, {"decision": "answer", "answer": "paid by hand"})


async def _decide_early(play: Play) -> None:
    await MODEL.reached.wait()
    await play.decide("c1", "approve")
    MODEL.open()


async def _cancel_when_waiting(play: Play) -> None:
    await play.front.waiting(play.run_id)
    await play.cancel()


async def _cancel_in_tool(play: Play) -> None:
    await TOOL.reached.wait()
    await play.cancel()


async def _cancel_in_model(play: Play) -> None:
    await play.streamed()
    await play.cancel()


async def _break(play: Play) -> None:
    await play.streamed()
    BREAK.open()


async def _run_again(play: Play) -> None:
    await play.front.waiting(play.run_id)
    await play.decide("c1~2", "approve")


async def _say_in_between(play: Play) -> None:
    await SAID.reached.wait()
    await play.say("Be quick.")
    SAID.open()


async def _decide_and_say(play: Play) -> None:
    await play.decide("bill", "approve")
    await play.say("Take your time.")


def _breaks_once(request: ModelRequest) -> Turn:
    lost = ProviderFailure("transient", "connection reset", retry_after=0.01)
    return turn(text("All ", "is ", BREAK, lost)) if request.attempt == 1 else DONE


def _long(request: ModelRequest) -> Turn:
    if request.step == LONG:
        return DONE
    if request.step == LONG - 1:
        return turn(call("bill", "pay", {"amount": 3}))
    return turn("On.", call(f"c{request.step}", "look", {"what": "sea"}))


LOOKS = turn(call("c1", "look", {"what": "sea"}), call("c2", "look", {"what": "sky"}), call("c3", "fly"))
HALF = turn(reasoning("Hm."), text("Half a ", Gate(), "sentence."))
KINDS: dict[str, Kind] = {
    "text": Kind(in_turn(turn(reasoning("Let ", "me see."), "Hello there."))),
    "tools_in_parallel": Kind(in_turn(LOOKS, DONE)),
    "approved_and_edited": Kind(in_turn(PAYS, DONE), people=_approve_and_edit),
    "denied_and_answered": Kind(in_turn(PAYS, DONE), people=_deny_and_answer),
    "decided_early": Kind(in_turn(turn(text("I ", MODEL, "pay."), call("c1", "pay")), DONE), people=_decide_early),
    "approval_expired": Kind(in_turn(PAYS), limits={"approval_timeout": 0.5}),
    "cancelled_when_waiting": Kind(in_turn(PAYS), people=_cancel_when_waiting),
    "cancelled_in_tool": Kind(in_turn(turn(call("c1", "stuck"), call("c2", "look"))), people=_cancel_in_tool),
    "cancelled_in_model": Kind(in_turn(HALF), people=_cancel_in_model),
    "failed_model": Kind(in_turn(turn(ProviderFailure("fatal", "no such key")))),
    "retried_model": Kind(_breaks_once, people=_break),
    "deadline": Kind(in_turn(HALF), limits={"deadline": 1.0}),
    "max_steps": Kind(in_turn(turn("Again.", call("c1", "look"))), limits={"max_steps": 2}),
    "interrupted_and_run_again": Kind(in_turn(turn(call("c1", "snap")), DONE), people=_run_again),
    "said_in_between": Kind(in_turn(turn(call("c1", "hold")), DONE), people=_say_in_between),
    "continued_as_new": Kind(_long, people=_decide_and_say),
}


def says(request: ModelRequest) -> Turn:
    """What the model says: a kind has the model that is named after it."""
    return KINDS[request.model].says(request)


async def play(front: Front, kind: str) -> str:
    """Run one run to its end; its id."""
    tools = ["look", "pay", "stuck", "hold", "snap"]
    agent = {"name": "helper", "model": f"scripted/{kind}", "system": "Be brief.", "tools": tools}
    started = await front.start(agent, limits=KINDS[kind].limits, metadata={"ticket": None})
    await KINDS[kind].people(Play(front, started["id"]))
    await front.ended(started["id"])
    return started["id"]


async def executions(client: Client, run_id: str) -> list[WorkflowHistory]:
    """The histories of a run, oldest first."""
    handle = client.get_workflow_handle(run_id)
    await handle.result()
    described = await handle.describe()
    execution = described.raw_description.workflow_execution_info.first_run_id
    found: list[WorkflowHistory] = []
    while execution:
        found.append(await client.get_workflow_handle(run_id, run_id=execution).fetch_history())
        execution = found[-1].events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return found


async def record(kinds: list[str]) -> None:
    """Record these kinds."""
    tools = [*TOOLS, held(TOOL, "stuck"), held(SAID), snapping()]
    with tempfile.TemporaryDirectory() as folder:
        async with (
            dev_server(Path(folder), **IMPATIENT) as address,
            running(address, Path(folder), says=says, tools=tools) as front,
        ):
            client = await Client.connect(address, data_converter=pydantic_data_converter)
            for kind in kinds:
                run_id = await play(front, kind)
                log = [data for _, _, data in await front.frames(run_id)]
                save(kind, chain := await executions(client, run_id), log)
                print(f"{kind}: {[len(execution.events) for execution in chain]} events, a log of {len(log)}")  # noqa: T201 - a command


def main() -> None:
    """Record the kinds that were named, or all."""
    kinds = sys.argv[1:] or list(KINDS)
    if unknown := set(kinds) - set(KINDS):
        sys.exit(f"no such kind: {', '.join(unknown)}; there are {', '.join(KINDS)}")
    asyncio.run(record(kinds))
    print(f"recorded in {FOLDER.name}")  # noqa: T201 - a command


if __name__ == "__main__":
    main()
