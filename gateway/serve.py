"""Runs the gateway's HTTP server."""

from typing import Any

import uvicorn

from longrun.gateway.http.connection import bounded
from longrun.runtime.exposure import refuse_exposed
from longrun.runtime.hosts import load_hosts
from longrun.runtime.settings import Settings

APP = "longrun.gateway.app:create_app"
_END_OF_STREAMS = 3
"""Seconds that open streams get after SIGTERM: readers come back with their cursor."""


def serve(settings: Settings, app: str = APP) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: Where to listen.
        app: ``module:function`` of what makes the application.

    Raises:
        ExposedError: It would let anybody in from other machines.
        HostsError: The file that names hosts of models cannot be used.
    """
    refuse_exposed(settings)
    load_hosts(settings.providers)  # before a server starts that would show a wrong file as a traceback
    config = uvicorn.Config(app, factory=True, log_level="warning", **http_options(settings))
    uvicorn.Server(config).run()


def http_options(settings: Settings) -> dict[str, Any]:
    """How HTTP is spoken, as ``uvicorn.Config`` takes it."""
    return {
        "host": settings.host,
        "port": settings.port,
        "http": bounded(settings.send_timeout, settings.receive_timeout),
        "ws": "none",
        "access_log": False,
        "server_header": False,
        "timeout_keep_alive": 75,  # longer than proxies keep an idle connection, so that they close first
        "timeout_graceful_shutdown": _END_OF_STREAMS,
    }
