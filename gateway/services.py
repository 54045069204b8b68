"""What the gateway does, for the doors."""

from dataclasses import dataclass

from longrun.gateway.service.agents import AgentService
from longrun.gateway.service.decisions import Decisions
from longrun.gateway.service.readiness import ReadinessProbe
from longrun.gateway.service.run_reader import RunReader
from longrun.gateway.service.runs import RunService
from longrun.gateway.service.vitals import Vitals
from longrun.gateway.streaming.logs import Logs
from longrun.runtime.settings import Settings


@dataclass(frozen=True)
class Services:
    """The services, wired; the first argument of each operation."""

    settings: Settings
    agents: AgentService
    runs: RunService
    reader: RunReader
    decisions: Decisions
    logs: Logs
    probe: ReadinessProbe
    vitals: Vitals
