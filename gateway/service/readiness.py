"""Whether what the gateway stands on answers."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError

from longrun.runtime.temporal import TemporalUnavailableError, answered
from longrun.store.db.database import StoreUnavailableError
from longrun.store.runs import RunFilter, Runs

_PATIENCE = timedelta(seconds=2)


async def temporal_answers(client: Client) -> bool:
    """Whether Temporal does."""
    try:
        with answered():
            return await client.service_client.check_health(timeout=_PATIENCE)
    except (RPCError, TemporalUnavailableError):
        return False


async def store_answers(runs: Runs) -> bool:
    """Whether the store does."""
    try:
        await runs.find(RunFilter(most=1))
    except StoreUnavailableError:
        return False
    return True
