"""Python's collector of garbage in cycles, for a process that lives long and has loaded all that it needs."""

import gc

_THRESHOLDS = (20_000, 20, 20)
"""Python's own are 700, 10 and 10: with the calls of a busy worker, every few seconds a look at a million objects."""


def settle() -> None:
    """Leave out what is there now from all later looks, and look more rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
