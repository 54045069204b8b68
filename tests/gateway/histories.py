"""Runs whose histories are worth reading: what their models say and do, and a harness for them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from longrun.activities.failures import FailureKind, ProviderFailure
from longrun.activities.providers.provider import ModelRequest
from tests.gateway.service_harness import ServiceHarness, service_harness, tools
from tests.harness import Handle, Harness, Script, harnessed, order, until
from tests.logcheck import of_type
from tests.provider_fake import Gate, Turn, call, reasoning, text, turn

ALL_TOOLS = ("echo", "note", "hold")
DONE = turn("That is all.")


@asynccontextmanager
async def behind(
    temporal: str, home: Path, script: Script, gate: Gate | None = None
) -> AsyncGenerator[tuple[Harness, ServiceHarness]]:
    """A harness with a worker, and the gateway's services over it."""
    async with harnessed(temporal, home, script, tools(gate or Gate())) as harness:
        yield harness, service_harness(harness)


def asking(request: ModelRequest) -> Turn:
    """A model that asks for three approvals at once, twice."""
    notes = [call(f"c{request.step}-{index}", "note", {"text": "milk"}) for index in range(3)]
    return turn("May I?", *notes) if request.step < 3 else DONE


def holding(request: ModelRequest) -> Turn:
    """A model that calls a tool that waits and one that does not."""
    return turn("I wait.", call("c1", "hold"), call("c2", "echo", {"text": "hey"})) if request.step == 1 else DONE


class Breaking:
    """A model whose first attempts break off after some text has reached the log."""

    def __init__(self, failures: int, kind: FailureKind = "transient") -> None:
        self.gates = [Gate() for _ in range(failures)]
        self._broken = ProviderFailure(kind, "lost", retry_after=0.01)

    def __call__(self, request: ModelRequest) -> Turn:
        if request.attempt > len(self.gates):
            return turn(reasoning("Hm."), "I begin and end.")
        gate = self.gates[request.attempt - 1]
        return turn(reasoning("Hm."), text("I begin ", gate, "and begin", self._broken))

    async def play(self, harness: Harness) -> Handle:
        """Start a run and let each attempt break."""
        handle = await harness.start(order(*ALL_TOOLS))
        for attempt, gate in enumerate(self.gates, 1):
            await gate.reached.wait()
            await until(partial(self._written, harness, handle.id, attempt), "the attempt's text")
            gate.open()
        return handle

    @staticmethod
    async def _written(harness: Harness, run_id: str, attempt: int) -> bool:
        return any(event.attempt == attempt for event in of_type(await harness.events(run_id), "text.delta"))


async def assert_restored(harness: Harness, services: ServiceHarness, run_id: str) -> None:
    """Delete the database's file, and find every row of the run in it again."""
    rows, lines = services.rows(), await services.settled(run_id)
    (harness.settings.home / "longrun.db").unlink()
    assert await services.stores.runs.get(run_id) is None
    assert await services.rebuilder.restore_unknown(run_id)
    assert services.rows() == rows
    assert await services.settled(run_id) == lines
