"""Runs the gateway's HTTP server."""

import asyncio
import logging
from contextlib import aclosing
from typing import Any

import uvicorn
from temporalio.service import RPCError

from longrun.gateway.history.gate import Gate
from longrun.gateway.http.connection import bounded
from longrun.gateway.service.workflows import connect
from longrun.runtime import collector, open_files
from longrun.runtime.exposure import refuse_exposed
from longrun.runtime.hosts import load_hosts
from longrun.runtime.settings import Settings
from longrun.runtime.temporal import TemporalUnavailableError, WrongTemporalError
from longrun.store.bindings import Bindings
from longrun.store.db.database import Database
from longrun.store.db.schema import migrate

logger = logging.getLogger(__name__)

APP = "longrun.gateway.app:create_app"
_PATIENCE = 3.0
"""Seconds for which a gateway that starts waits for Temporal."""
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
        WrongTemporalError: The Temporal that answers is not the store's.
        StoreUnavailableError: The store failed.
    """
    refuse_exposed(settings)
    open_files.raise_limit()
    load_hosts(settings.providers)  # before a server starts that would show a wrong file as a traceback
    asyncio.run(_check_temporal(settings))
    config = uvicorn.Config(app, factory=True, log_level="warning", **http_options(settings))
    logging.getLogger("uvicorn.error").addFilter(_is_no_broken_off_stream)
    config.load()
    collector.settle()
    uvicorn.Server(config).run()


def _is_no_broken_off_stream(record: logging.LogRecord) -> bool:
    """A stream that has to end before its run does breaks off on purpose, and says so itself."""
    return "without completing response" not in record.getMessage()


async def _check_temporal(settings: Settings) -> None:
    """Look which Temporal answers before anybody is served; one that is away is looked at when it is back."""
    settings.home.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(migrate, settings.database)
    async with aclosing(Database(settings.database)) as database:
        try:
            async with asyncio.timeout(_PATIENCE):
                await Gate(await connect(), Bindings(database).check).passed()
        except WrongTemporalError:
            raise
        except (TemporalUnavailableError, RPCError, TimeoutError) as error:
            logger.warning("Temporal is looked at when it answers: %s", error or "it is silent")


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
