"""What ``longrun dev`` will run, decided before anything is started."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
from temporalio.service import RPCError

from longrun.dev.child import Probe, Recipe
from longrun.dev.ports import Wanted, choose_ports
from longrun.dev.temporal.config import TemporalConfig, config_file, read_config
from longrun.dev.temporal.find import Found
from longrun.dev.temporal.server import connect_when_up, ensure_retention, ensure_search_attributes
from longrun.runtime.settings import Settings

WORKER_READY = "longrun worker ready"
"""What a worker prints when it polls for tasks."""


@dataclass(frozen=True)
class DevOptions:
    """What the command line overrides; ``None`` leaves it to the settings and the file. Port 0 is any free one."""

    home: Path | None = None
    host: str | None = None
    port: int | None = None
    temporal_port: int | None = None
    ui_port: int | None = None
    model: str | None = None
    workers: int = 1


@dataclass(frozen=True)
class Plan:
    """What will run. ``config`` is ``None`` for a server that is not ours."""

    home: Path
    host: str
    port: int
    found: Found
    config: TemporalConfig | None
    model: str | None
    workers: int

    @property
    def api(self) -> str:
        """The gateway's base URL, as this machine reaches it."""
        return Settings.model_construct(host=self.host, port=self.port).base_url

    @property
    def temporal(self) -> str:
        """Temporal's address."""
        return self.config.address if self.config else self.found.address

    @property
    def ui(self) -> str | None:
        """The Web UI's URL, ``None`` where the server is not ours."""
        return f"http://{self.config.ip}:{self.config.ui_port}" if self.config else None

    def environ(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The environment of the gateway and the workers."""
        ours = {"LONGRUN_HOME": str(self.home), "LONGRUN_HOST": self.host, "LONGRUN_PORT": str(self.port)}
        kept = inherited
        if self.config:
            # Keys and certificates of another server would keep a client from ours.
            kept = {name: value for name, value in inherited.items() if not _of_another_server(name)}
            ours |= {"TEMPORAL_ADDRESS": self.temporal, "TEMPORAL_CONFIG_FILE": os.devnull}
        if self.model:
            ours["LONGRUN_MODEL"] = self.model
        # A short grace, so that Ctrl-C takes effect soon: calls are handed over before their worker would be killed.
        return {"LONGRUN_GRACE": "2", **kept, **ours, "PYTHONUNBUFFERED": "1"}


def _of_another_server(name: str) -> bool:
    return name.startswith("TEMPORAL_") and name not in ("TEMPORAL_NAMESPACE", "TEMPORAL_DEBUG")


async def make_plan(options: DevOptions, found: Found, folder: Path) -> Plan:
    """Join options, settings and ``temporal-dev.yaml`` (in ``folder`` or ours), and choose the ports.

    Raises:
        SetupError: A setting or a port cannot be used.
    """
    settings = Settings()
    config = None if found.address else read_config(config_file(folder))
    host = options.host or settings.host
    wanted = [Wanted(host, settings.port if options.port is None else options.port, "the gateway", "--port")]
    if config:
        port = config.port if options.temporal_port is None else options.temporal_port
        ui_port = config.ui_port if options.ui_port is None else options.ui_port
        wanted += [Wanted(config.ip, port, "Temporal", "--temporal-port")]
        wanted += [Wanted(config.ip, ui_port, "Temporal's Web UI", "--ui-port")]
    ports = choose_ports(wanted)
    if config:
        config = config.model_copy(update={"port": ports[1], "ui_port": ports[2]})
    home = (options.home or settings.home).absolute()
    return Plan(home, host, ports[0], found, config, options.model, options.workers)


def start_order(plan: Plan, inherited: Mapping[str, str]) -> list[list[Recipe]]:
    """The groups of child processes, in the order in which they are started.

    The gateway is started before the workers, so that a single process migrates the database.
    """
    environ = plan.environ(inherited)
    gateway = [sys.executable, "-m", "longrun.cli.main", "gateway"]
    worker = [sys.executable, "-m", "longrun.activities.worker"]
    names = ["worker"] if plan.workers == 1 else [f"worker-{number}" for number in range(1, plan.workers + 1)]
    groups = [
        [Recipe("gateway", gateway, environ, probe=answers(f"{plan.api}/api/ready"))],
        [Recipe(name, worker, environ, ready_line=WORKER_READY) for name in names],
    ]
    return [[_temporal(plan.config, plan, inherited)], *groups] if plan.config else groups


def _temporal(config: TemporalConfig, plan: Plan, inherited: Mapping[str, str]) -> Recipe:
    namespace = inherited.get("TEMPORAL_NAMESPACE") or "default"
    command = config.command(plan.found.binary, plan.home, namespace=namespace)
    hint = f"If {plan.home / config.db_file} comes from another version of Temporal, move it away."

    async def prepared() -> bool:
        client = await connect_when_up({"target_host": config.address, "namespace": namespace})
        if client is None:
            return False
        try:
            await ensure_retention(client, config.retention)
            await ensure_search_attributes(client, config.search_attributes)
        except RPCError:
            return False
        return True

    return Recipe("temporal", command, inherited, probe=prepared, grace=2.0, when_it_fails=hint)


def answers(url: str) -> Probe:
    """Whether a GET of the URL succeeds."""

    async def answered() -> bool:
        async with httpx2.AsyncClient(trust_env=False, timeout=5) as client:
            try:
                return (await client.get(url)).is_success
            except httpx2.TransportError:
                return False

    return answered
