"""A process that appends to a run: ``append_child.py URL RUN_ID NAME COUNT``."""

import asyncio
import sys
from collections.abc import Awaitable

from longrun.store.db.database import Database
from longrun.store.log import Append, append
from longrun.workflows.contract.events import ToolProgress
from longrun.workflows.contract.results import Span
from tests.build import START


async def main(url: str, run_id: str, name: str, count: int) -> None:
    """Append ``count`` times two events, many at once."""
    database = Database(url)
    event = ToolProgress(run_id=run_id, at=START, call_id=name)

    def write(index: int) -> Awaitable[Span]:
        entry = Append(run_id, f"{name}:{index}", [event, event])
        return database.write(lambda tx: append(tx, entry))

    await asyncio.gather(*(write(index) for index in range(count)))
    await database.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
