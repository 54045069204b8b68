"""Runs that cannot be looked at: each is left alone for a while, a longer one each time, and holds up no other."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic

from longrun.runtime.temporal import TemporalUnavailableError
from longrun.store.db.database import StoreUnavailableError

logger = logging.getLogger(__name__)

_LONGEST_PAUSE = 300.0
_MOST = 10_000


class BadRuns:
    """Remembers how often a run has failed, and until when it is left alone."""

    def __init__(self) -> None:
        self._failed: dict[str, tuple[int, float]] = {}

    def waits(self, run_id: str) -> bool:
        """Whether a run is left alone now."""
        return self._failed.get(run_id, (0, 0.0))[1] > monotonic()

    @contextmanager
    def forgiving(self, run_id: str) -> Generator[None]:
        """Do something for a run; what fails because of it is logged.

        Raises:
            TemporalUnavailableError: Temporal did not answer, which is not the run's fault.
            StoreUnavailableError: The store failed.
        """
        try:
            yield
        except (TemporalUnavailableError, StoreUnavailableError):
            raise
        except Exception as error:  # noqa: BLE001 - one bad run must not stop the round for all others
            times = 1 + self._failed.get(run_id, (0, 0.0))[0]
            pause = min(2.0**times, _LONGEST_PAUSE)
            self._failed[run_id] = (times, monotonic() + pause)
            while len(self._failed) > _MOST:
                del self._failed[next(iter(self._failed))]
            cause = f"{type(error).__name__}: {error}"
            logger.warning("run %s cannot be looked at, and is left alone for %g s: %s", run_id, pause, cause)
        else:
            self._failed.pop(run_id, None)
