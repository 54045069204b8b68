"""Runs the gateway's HTTP server."""

import uvicorn

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
        HostsError: The file that names hosts of models cannot be used.
    """
    load_hosts(settings.providers)  # before a server starts that would show a wrong file as a traceback
    config = uvicorn.Config(
        app,
        factory=True,
        host=settings.host,
        port=settings.port,
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=75,  # longer than proxies keep an idle connection, so that they close first
        timeout_graceful_shutdown=_END_OF_STREAMS,
    )
    uvicorn.Server(config).run()
