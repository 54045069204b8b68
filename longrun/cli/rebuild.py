"""``longrun rebuild``: a run's log from its history, compared with the store's, and put back where that has gaps."""

import asyncio
from contextlib import aclosing

from rich.console import Console

from longrun.gateway.history.rebuilder import Rebuilder
from longrun.gateway.service.workflows import connect
from longrun.runtime.plain import PlainError
from longrun.runtime.settings import Settings
from longrun.store.db.database import Database
from longrun.store.db.engines import sqlite_file
from longrun.store.db.schema import migrate
from longrun.store.log_reader import LogReader
from longrun.store.notify.datagrams import DatagramNotifier
from longrun.store.runs import Runs


class NoStoreError(PlainError):
    """There is no data folder: the command was given in another one."""


async def rebuild(run_id: str, settings: Settings, console: Console) -> int:
    """Rebuild a run's log, compare, put back what is missing, and print the counts.

    Returns:
        0 when the store has the log as history tells it now, 1 when it has not or history does not know the run.

    Raises:
        NoStoreError: There is no data folder here; nothing was made.
        TemporalUnavailableError: Temporal did not answer.
        StoreUnavailableError: The store failed.
    """
    file = sqlite_file(settings.database)
    if file and not file.parent.is_dir():
        raise NoStoreError(
            f"there is no data folder {file.parent}: go to the folder that longrun runs in, or name it by LONGRUN_HOME"
        )
    if file and not file.exists():
        console.print(f"there is no store any more: a new one is made in {file}")
    await asyncio.to_thread(migrate, settings.database)
    notifier = DatagramNotifier(settings.notify_folder)
    try:
        async with aclosing(Database(settings.database, notifier)) as database:
            rebuilder = Rebuilder(await connect(), database, Runs(database), LogReader(database))
            return await _rebuild(run_id, rebuilder, console)
    finally:
        notifier.close()


async def _rebuild(run_id: str, rebuilder: Rebuilder, console: Console) -> int:
    history = await rebuilder.rebuild(run_id)
    if history is None:
        console.print(f"Temporal has no history of run {run_id} from its beginning on")
        return 1
    before = await rebuilder.compare(history)
    lost = history.last_seq - sum(seq <= history.last_seq for seq in history.lines)
    end = "its end" if history.final else "as far as it has come"
    console.print(f"history: {len(history.lines)} events, complete to seq {history.last_seq}, {end}; {lost} superseded")
    console.print(f"store:   {before.equal} equal, {before.missing} missing, {before.different} different")
    await rebuilder.restore(history)
    after = await rebuilder.compare(history)
    console.print(f"put back {before.missing - after.missing} events")
    return 1 if after.different or after.missing else 0
