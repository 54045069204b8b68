"""A system whose workers are processes of their own: they come, and are killed, and others come."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from longrun.gateway.history.rebuilder import Rebuilder
from longrun.runtime.ids import new_id
from longrun.runtime.settings import Settings
from longrun.workflows.contract.events import AttemptSuperseded, Event, ToolCompleted
from longrun.workflows.contract.runs import Verdict
from tests import wire as wires
from tests.activities.killing import worker_process
from tests.build import Stores
from tests.harness import until
from tests.logcheck import parsed
from tests.relay import Relay, relayed
from tests.running import Front, serving
from tests.spawning import Child
from tests.tools import noted
from tests.wire import Wire

SCRIPTS = {
    "story": """
turns:
  - - text: "One went out. Two came"
    - hang: 1
    - text: " back. Three stayed."
""",
    "watching": """
turns:
  - tool_calls: [{name: watch, arguments: {mark: "{input}"}}]
  - text: "{last_result}"
""",
    **{
        f"striking{how}": f"""
turns:
  - tool_calls: [{{name: strike{how}, arguments: {{mark: "{{input}}"}}, id: "{{input}}"}}]
  - text: "{{last_result}}"
"""
        for how in ("", "_again", "_once")
    },
}


@dataclass(frozen=True)
class Ended:
    """A run that has ended, as it can be read.

    ``live`` is what a reader got who was there all the time; ``rebuilt`` what Temporal's history tells.
    """

    run: dict[str, object]
    raw: list[Event]
    settled: list[Event]
    live: list[Event]
    rebuilt: list[Event]

    @property
    def superseded(self) -> list[AttemptSuperseded]:
        """The notices in its log."""
        return [event for event in self.raw if isinstance(event, AttemptSuperseded)]

    @property
    def result(self) -> ToolCompleted:
        """The result of its one call."""
        (result,) = (event for event in self.raw if isinstance(event, ToolCompleted))
        return result


@dataclass(frozen=True)
class Deployment:
    """A gateway over a store, a provider, and a way to Temporal; workers come and go."""

    front: Front
    stores: Stores
    wire: Wire
    relay: Relay
    rebuilder: Rebuilder
    started: dict[str, str] = field(default_factory=dict[str, str])
    readers: dict[str, asyncio.Task[list[Event]]] = field(default_factory=dict[str, asyncio.Task[list[Event]]])

    @property
    def workspace(self) -> Path:
        """Where the tools leave their notes."""
        return self.front.settings.workspace_folder

    @asynccontextmanager
    async def worker(self, address: str) -> AsyncGenerator[Child]:
        """A worker that reaches Temporal at this address."""
        environ = {
            "LONGRUN_SCRIPTS": str(self.front.settings.home / "scripts"),
            "OPENAI_BASE_URL": self.wire.openai_url,
            "OPENAI_API_KEY": "sk-test",
        }
        async with worker_process(self.front.settings, address, environ) as worker:
            yield worker

    async def start(self, name: str, model: str, **agent: object) -> None:
        """Start a run that is asked for by its name here, and read it from its beginning."""
        run_id = (await self.front.start({"model": model, **agent}, name))["id"]
        self.started[name] = run_id
        self.readers[name] = asyncio.create_task(self.read(run_id, "raw"))

    async def read(self, run_id: str, view: str) -> list[Event]:
        """A run's stream to its end."""
        return parsed(data for _, _, data in await self.front.frames(run_id, f"?view={view}"))

    async def logged(self, name: str, text: str) -> None:
        """Wait until this text is in a run's log."""

        async def look() -> bool:
            return text.encode() in b"\n".join(await self.stores.lines(self.started[name]))

        await until(look, f"{text!r} in the log of {name}")

    async def noted(self, line: str) -> None:
        """Wait until a tool has written this line."""

        async def look() -> bool:
            return line in noted(self.workspace)

        await until(look, f"the note {line}")

    async def rebuilt(self, run_id: str) -> list[Event]:
        """A run's log from its history alone."""
        rebuilt = await self.rebuilder.rebuild(run_id)
        assert rebuilt is not None
        return parsed(rebuilt.lines[seq] for seq in sorted(rebuilt.lines))

    async def decide(self, name: str, call_id: str, decision: Verdict = "approve", **more: str) -> None:
        """Decide a call."""
        body = {"decision": decision, "run_id": self.started[name], **more}
        response = await self.front.http.post(f"/api/approvals/{quote(call_id)}", json=body)
        assert response.status_code in (200, 202), response.text

    async def ended(self) -> dict[str, Ended]:
        """Wait for the end of every run."""
        found: dict[str, Ended] = {}
        for name, run_id in self.started.items():
            run, live = await self.front.ended(run_id), await self.readers[name]
            raw, settled = await self.read(run_id, "raw"), await self.read(run_id, "settled")
            found[name] = Ended(run, raw, settled, live, await self.rebuilt(run_id))
        return found


@asynccontextmanager
async def deployment(temporal: str, folder: Path) -> AsyncGenerator[Deployment]:
    """A system over a folder, without a worker."""
    settings = Settings(home=folder, task_queue=f"longrun-{new_id()}")
    (folder / "scripts").mkdir()
    for name, script in SCRIPTS.items():
        (folder / "scripts" / f"{name}.yaml").write_text(script)
    async with wires.start() as wire, relayed(temporal) as relay, serving(settings, temporal) as front:
        stores = Stores.over(settings.database)
        client = await Client.connect(temporal, data_converter=pydantic_data_converter)
        rebuilder = Rebuilder(client, stores.database, stores.runs, stores.log)
        try:
            yield Deployment(front, stores, wire, relay, rebuilder)
        finally:
            await stores.database.aclose()
