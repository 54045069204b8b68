"""Whether what the gateway stands on answers."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError

from store.database import StoreAwayError
from store.runs import RunFilter, Runs

_PATIENCE = timedelta(seconds=2)


async def temporal_answers(client: Client) -> bool:
    """Whether Temporal does."""
    try:
        return await client.service_client.check_health(timeout=_PATIENCE)
    except (RPCError, RuntimeError):  # RuntimeError is what a first connection that is refused raises
        return False


async def store_answers(runs: Runs) -> bool:
    """Whether the store does."""
    try:
        await runs.find(RunFilter(most=1))
    except StoreAwayError:
        return False
    return True
