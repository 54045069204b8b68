"""A worker that does nothing but hold its lease, and has forked a child: ``holder.py URL WORKER``."""

import os
import sys
import threading
import time

from longrun.store.db.database import Database
from longrun.store.leases.where import lease_in

if __name__ == "__main__":
    lease_in(Database(sys.argv[1]), sys.argv[2]).hold()
    if os.fork() == 0:
        os.closerange(0, 3)  # whoever waits for the end of this process's output does not wait for the child
        time.sleep(60)
        os._exit(0)
    print("held", flush=True)  # noqa: T201 - whoever started this process waits for the line
    threading.Event().wait()
