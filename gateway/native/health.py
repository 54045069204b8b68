"""Whether the gateway lives, and whether it can do its work."""

from longrun.gateway.http.operations import Answer, Operations, Reply
from longrun.gateway.services import Services
from longrun.workflows.contract.views import Health, Readiness

operations = Operations("server")


@operations.get("/api/health", Answer(200, "It lives"), public=True)
async def health(services: Services) -> Health:
    """Liveness.

    Whether the process lives, and all of its parts do; touches nothing else.
    """
    down = services.vitals.down
    return Health(status="degraded" if down else "ok", down=dict(down))


@operations.get("/api/ready", Answer(200, "All is there"), Answer(503, "Something is unavailable"), public=True)
async def ready(services: Services) -> Readiness | Reply[Readiness]:
    """Readiness.

    Whether Temporal and the store answer and belong together, and Temporal knows the search attributes of runs.
    """
    found = await services.probe.readiness()
    return found if found.status == "ready" else Reply(found, 503, {"Retry-After": "2"})
