"""Whether what the gateway stands on answers."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError

from gateway.away import TemporalAwayError, answered
from store.database import StoreAwayError
from store.runs import RunFilter, Runs

_PATIENCE = timedelta(seconds=2)


async def temporal_answers(client: Client) -> bool:
    """Whether Temporal does."""
    try:
        with answered():
            return await client.service_client.check_health(timeout=_PATIENCE)
    except (RPCError, TemporalAwayError):
        return False


async def store_answers(runs: Runs) -> bool:
    """Whether the store does."""
    try:
        await runs.find(RunFilter(most=1))
    except StoreAwayError:
        return False
    return True
