"""Activities outside of a worker, with the time that a run gives them."""

from dataclasses import replace
from datetime import timedelta

from temporalio.testing import ActivityEnvironment


def activity_environment() -> ActivityEnvironment:
    """An environment in which an activity may take an hour."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, start_to_close_timeout=timedelta(hours=1))
    return environment
