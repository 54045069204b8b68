"""``longrun rebuild``: a run's log from its history, compared with the store's, and put back where that has gaps."""

import asyncio
from contextlib import aclosing

from rich.console import Console
from temporalio.client import Client

from gateway.history.historian import Historian
from store.database import Database
from store.log import LogReader
from store.pokes import Poker
from store.runs import Runs
from store.schema import migrate
from store.settings import Settings, temporal_connection
from workflows import record


async def rebuild(run_id: str, settings: Settings, console: Console) -> int:
    """Rebuild a run's log, compare, put back what is missing, and print the counts.

    Returns:
        0 when the store has the log as history tells it now, 1 when it has not or history does not know the run.

    Raises:
        TemporalAwayError: Temporal did not answer.
        StoreAwayError: The store failed.
    """
    await asyncio.to_thread(migrate, settings.database)
    client = await Client.connect(**temporal_connection(), lazy=True)
    poker = Poker(settings.pokes_folder)
    try:
        async with aclosing(Database(settings.database, poker)) as database:
            historian = Historian(client, database, Runs(database, record), LogReader(database))
            return await _rebuild(run_id, historian, console)
    finally:
        poker.close()


async def _rebuild(run_id: str, historian: Historian, console: Console) -> int:
    rebuilt = await historian.rebuild(run_id)
    if rebuilt is None:
        console.print(f"Temporal has no history of run {run_id} from its beginning on")
        return 1
    before = await historian.compare(rebuilt)
    lost = rebuilt.last_seq - sum(seq <= rebuilt.last_seq for seq in rebuilt.lines)
    end = "its end" if rebuilt.final else "as far as it has come"
    console.print(f"history: {len(rebuilt.lines)} events, complete to seq {rebuilt.last_seq}, {end}; {lost} superseded")
    console.print(f"store:   {before.equal} equal, {before.missing} missing, {before.different} different")
    await historian.put_back(rebuilt)
    after = await historian.compare(rebuilt)
    console.print(f"put back {before.missing - after.missing} events")
    return 1 if after.different or after.missing else 0
