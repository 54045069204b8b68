"""How many files and sockets a process may have open: a call in flight takes one, and so does a viewer of a stream."""

import resource

MOST = 65_536


def raise_limit() -> None:
    """Raise this process's limit as far as the system lets it, up to ``MOST``; on many it is 1,024 at first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(MOST, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
