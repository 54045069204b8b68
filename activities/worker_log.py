"""What a worker logs: a line for each failure that has a name, and a traceback only for what nobody has foreseen."""

import logging
from collections.abc import Mapping
from typing import cast

from temporalio.exceptions import ApplicationError
from typing_extensions import override

_ACTIVITIES = "temporalio.activity"
_QUIET = ("httpx2", "alembic")
"""A line for each request to a provider, and for each look at the database's schema, is too much."""


class NamedFailuresAreOneLine(logging.Filter):
    """Replaces the traceback with which Temporal's SDK logs a failed activity, if the failure is one of ours."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(error, ApplicationError):
            about = cast("Mapping[str, object]", getattr(record, "temporal_activity", {}))
            kind = f"{error.type}, not retried" if error.non_retryable else str(error.type)
            names = (about.get(name, "?") for name in ("activity_type", "workflow_id", "attempt"))
            record.msg = "%s of run %s failed in attempt %s (%s): %s"
            record.args = (*names, kind, error.message)
            record.exc_info = None
        return True


def configure_log() -> None:
    """Log to stderr, a line for each message."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger(_ACTIVITIES).addFilter(NamedFailuresAreOneLine())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
