"""``longrun setup``: prepares a Temporal server that is somebody's own, and binds the store to it."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Console
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from longrun.dev.temporal.server import ensure_namespace, ensure_retention, ensure_search_attributes
from longrun.runtime.plain import PlainError
from longrun.runtime.settings import Settings
from longrun.runtime.temporal import answered, identity_of, temporal_connection
from longrun.store.bindings import Bindings
from longrun.store.db.database import Database
from longrun.store.db.schema import migrate
from longrun.workflows.search_attributes import ATTRIBUTES

_SHORTEST = timedelta(days=1)
"""Of retentions: what is older is lost for a log that has to be rebuilt."""


class RefusedError(PlainError):
    """Temporal refused; the message says what."""


@dataclass(frozen=True)
class SetupOptions:
    """What the command line says: the retention to set, if any, and what may be done that cannot be undone."""

    retention: timedelta | None = None
    create: bool = False
    rebind: bool = False


async def set_up(options: SetupOptions, settings: Settings, console: Console) -> None:
    """Do it, and print what was done.

    Raises:
        RefusedError: Temporal refused.
        SetupError: A search attribute is registered with another type.
        TemporalUnavailableError: Temporal did not answer.
        WrongTemporalError: The store belongs to another one, and is not to be bound anew.
        StoreUnavailableError: The store failed.
    """
    with answered():
        client = await Client.connect(**temporal_connection())
    try:
        if options.create and await ensure_namespace(client, options.retention or timedelta(days=7)):
            console.print(
                f"made the namespace {client.namespace}; it may take some seconds until all of Temporal knows"
            )
        await _prepare(client, options, console)
    except RPCError as error:
        hint = "; --create makes it" if "amespace" in error.message and not options.create else ""
        raise RefusedError(f"Temporal refused: {error.message}{hint}") from error
    settings.home.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(migrate, settings.database)
    async with aclosing(Database(settings.database)) as database:
        bindings, temporal = Bindings(database), await identity_of(client)
        await (bindings.rebind(temporal) if options.rebind else bindings.check(temporal))
    console.print(f"the store belongs to {temporal}")


async def _prepare(client: Client, options: SetupOptions, console: Console) -> None:
    added = await ensure_search_attributes(client, {each.name: "Keyword" for each in ATTRIBUTES})
    console.print(f"search attributes: registered {', '.join(sorted(added))}" if added else "search attributes: there")
    if options.retention and await ensure_retention(client, options.retention):
        console.print(f"retention: set to {options.retention.days} days")
    found = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    kept = found.config.workflow_execution_retention_ttl.ToTimedelta()
    short = "; that is short: a log can be rebuilt for so long only" if kept < _SHORTEST else ""
    console.print(f"retention: closed runs are kept for {kept}{short}")
