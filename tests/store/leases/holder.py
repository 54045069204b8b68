"""A worker that does nothing but hold its lease: ``holder.py URL WORKER``."""

import sys
import threading

from longrun.store.db.database import Database
from longrun.store.leases.where import lease_in

if __name__ == "__main__":
    lease_in(Database(sys.argv[1]), sys.argv[2]).hold()
    print("held", flush=True)  # noqa: T201 - whoever started this process waits for the line
    threading.Event().wait()
