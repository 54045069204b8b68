"""Which Temporal has the runs of this store: noted at first start, and no other one is believed."""

from longrun.runtime.clock import now
from longrun.runtime.temporal import WrongTemporalError
from longrun.store.db.database import Database, Tx
from longrun.store.db.engines import shown
from longrun.store.db.sql import run_sql


class Bindings:
    """Reads and writes the binding."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self, temporal: str) -> None:
        """Bind the store if it is not bound yet.

        Args:
            temporal: Which Temporal answers, as ``runtime.temporal.identity_of`` says.

        Raises:
            WrongTemporalError: It is bound to another one.
            StoreUnavailableError: The database failed.
        """
        bound = await self._database.read(_bound)
        if bound is None:
            await self._database.write(lambda tx: _bind(tx, temporal, "DO NOTHING"))
            bound = await self._database.read(_bound)
        if bound != temporal:
            raise WrongTemporalError(
                f"the store {shown(self._database.url)} belongs to another Temporal: to {bound}, and what answers is "
                f"{temporal}. Set TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE to that one; or, if it is gone for good and "
                "its runs may be ended, bind the store to this one: longrun setup --rebind"
            )

    async def rebind(self, temporal: str) -> None:
        """Bind the store to this Temporal, whatever it was bound to.

        Raises:
            StoreUnavailableError: The database failed.
        """
        again = "(id) DO UPDATE SET temporal = excluded.temporal, bound_at = excluded.bound_at"
        await self._database.write(lambda tx: _bind(tx, temporal, again))


def _bound(tx: Tx) -> str | None:
    return run_sql(tx, "SELECT temporal FROM bindings WHERE id = 1").scalar()


def _bind(tx: Tx, temporal: str, conflict: str) -> None:
    insert = f"INSERT INTO bindings (id, temporal, bound_at) VALUES (1, ?, ?) ON CONFLICT {conflict}"  # noqa: S608 - ours
    run_sql(tx, insert, temporal, now())
