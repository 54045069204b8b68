"""How properties are tried: the same examples each time, and many more in the long form."""

import os

from hypothesis import HealthCheck, settings


def load() -> None:
    """Make this the way of every property."""
    settings.register_profile(
        "longrun",
        derandomize=True,  # and so without a database of failures
        deadline=None,
        max_examples=1_000 if os.environ.get("LONGRUN_TEST_LONG") else 100,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],  # a slow machine is no fault of ours
    )
    settings.load_profile("longrun")
