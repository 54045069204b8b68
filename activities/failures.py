"""The kinds of failure of a model call, and whether a retry can help: one table for every provider."""

import asyncio
import logging
import re
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import timedelta
from typing import Literal

from temporalio import activity
from temporalio.exceptions import ApplicationError, FailureError

from longrun.store.db.database import StoreUnavailableError
from longrun.store.db.engines import StoreRefusedError
from longrun.store.log import LostRunError
from longrun.workflows.contract.characters import clean
from longrun.workflows.contract.errors import ErrorType

FailureKind = Literal["transient", "fatal", "overflow", "invalid"]
"""``transient``: a retry can help; ``fatal``: a retry fails too; ``overflow``: the conversation is too long;
``invalid``: the stream was malformed or broke off, and a retry can help."""

logger = logging.getLogger(__name__)

MOST_CHARS = 2000
"""Of the message of a failure, which goes to the log, to Temporal and to people. Some hosts answer with megabytes."""
MAX_RETRY_AFTER = 300.0
MOST_FAILURES = 10
"""The failures of a provider in one step after which the step fails."""
_STORE_PATIENCE = timedelta(seconds=10)
_TYPES: dict[FailureKind, ErrorType] = {
    "transient": "llm_api_error",
    "fatal": "llm_api_error",
    "overflow": "context_overflow",
    "invalid": "invalid_llm_response",
}
_HTTP_ERROR = re.compile(r"[45]\d\d")
_FATAL_STATUS = frozenset({400, 401, 402, 403, 404, 405, 413, 422})
_FATAL_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_error",
        "billing_hard_limit_reached",
        "invalid_api_key",
        "authentication_error",
        "permission_error",
        "not_found_error",
        "model_not_found",
        "invalid_request_error",
        "invalid_prompt",
        "bio_policy",
        "cyber_policy",
        "misalignment_policy_violation",
        "content_policy_violation",
        "data_residency_mismatch",
        "request_too_large",
        "invalid_image",
        "invalid_image_format",
        "invalid_image_url",
        "invalid_base64_image",
        "image_too_large",
        "image_too_small",
    }
)
_TRANSIENT_CODES = frozenset(
    {
        "rate_limit_exceeded",
        "rate_limit_error",
        "overloaded_error",
        "api_error",
        "server_error",
        "timeout_error",
        "vector_store_timeout",
    }
)
_OVERFLOW_CODES = frozenset({"context_length_exceeded", "model_context_window_exceeded", "exceed_context_size_error"})
_TOO_MUCH = r"exceed\w*|too (long|large|many)|longer than|overflow\w*"
_OVERFLOW = re.compile(
    rf"\b(prompt|input|context|tokens?)\b.{{0,100}}\b({_TOO_MUCH}|over (the )?limit)"
    rf"|\b({_TOO_MUCH})\b.{{0,60}}\b(prompt|input|context|token limit|number of tokens)\b"
    r"|context (window|length|limit|size)",
    re.DOTALL,
)
"""What hosts say of a conversation that is too long; each has words of its own."""
_OTHER_LIMITS = re.compile(
    r"rate.?limit|quota|per (min|hour|day|second)|\b[tr]pm\b"
    r"|max_(completion_|output_)?tokens|(output|completion) tokens|\bimage\b"
)
"""What the same words are about as well: how much a host serves, and how much of it may be an answer."""
_OVERFLOW_STATUS = (400, 413, None)


class ProviderFailure(Exception):  # noqa: N818 - a failure is what the design calls it
    """A model call that gave no answer.

    Args:
        kind: Whether a retry can help.
        message: The provider's message, for a person.
        retry_after: The provider's ``retry-after``, in seconds.
    """

    def __init__(self, kind: FailureKind, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(clean(message))
        self.kind: FailureKind = kind
        self.retry_after = retry_after

    def to_application_error(self, failures: int = 1) -> ApplicationError:
        """The error for Temporal's retry policy.

        Args:
            failures: The provider's failures in this step, with this one. Attempts of workers that died do not count.
        """
        return ApplicationError(
            str(self),
            type=_TYPES[self.kind],
            non_retryable=self.kind in ("fatal", "overflow") or failures >= MOST_FAILURES,
            next_retry_delay=backoff(failures) if self.retry_after is None else _bounded(self.retry_after),
        )


def backoff(failures: int) -> timedelta:
    """The delay after so many failures: a second, doubled each time, up to a minute."""
    return timedelta(seconds=min(60.0, 2.0 ** min(failures - 1, 6)))


def _bounded(seconds: float) -> timedelta:
    return timedelta(seconds=min(max(seconds, 0.001), MAX_RETRY_AFTER))


@contextmanager
def store_failures() -> Generator[None]:
    """Let Temporal retry an activity later when the store is unavailable, or has lost the run.

    Raises:
        ApplicationError: It is, or has.
    """
    try:
        yield
    except StoreRefusedError as error:
        raise ApplicationError(str(error), type="store_refused", non_retryable=True) from None
    except (StoreUnavailableError, LostRunError) as error:
        delay = min(backoff(activity.info().attempt), _STORE_PATIENCE)
        raise ApplicationError(str(error), type="store_unavailable", next_retry_delay=delay) from None


@contextmanager
def bounded() -> Generator[None]:
    """Make a failure with an end of whatever an activity raises that nobody has foreseen.

    Raises:
        ApplicationError: It is tried again with growing waits, in at most ``MOST_FAILURES`` attempts.
    """
    try:
        yield
    except (FailureError, asyncio.CancelledError):
        raise
    except Exception as error:  # noqa: BLE001 - the edge of every activity
        raise unforeseen(error, activity.info().attempt) from None


def unforeseen(error: Exception, failures: int) -> ApplicationError:
    """The error for Temporal of what nobody has foreseen, after so many failures; its traceback is logged here.

    The exception itself does not go to Temporal: nothing bounds what it and its causes hold.
    """
    logger.error("an activity failed", exc_info=error)
    return ApplicationError(
        clean(f"{type(error).__name__}: {error}"[:MOST_CHARS]),
        type="internal_error",
        non_retryable=failures >= MOST_FAILURES,
        next_retry_delay=backoff(failures),
    )


def handed_over() -> ApplicationError:
    """The error of an attempt that ends because its worker is shut down: another worker retries it at once."""
    return ApplicationError("the worker is shut down", type="handed_over", next_retry_delay=timedelta(milliseconds=1))


class MismatchFailure(ProviderFailure):
    """The whole text of a part, as the provider gives it, does not start with its deltas."""

    def __init__(self, message: str) -> None:
        super().__init__("invalid", message)


def classify(status: int | None, codes: Iterable[str], message: str, should_retry: str | None = None) -> FailureKind:
    """The kind of a failure that a provider reported.

    Args:
        status: The HTTP status, ``None`` for an error inside a stream.
        codes: The provider's ``code`` and ``type``; a code that is an HTTP status replaces a missing ``status``.
        message: The provider's message.
        should_retry: The value of an ``x-should-retry`` header, which overrides the table.
    """
    named = frozenset(codes)
    if status is None:
        status = next((int(code) for code in sorted(named) if _HTTP_ERROR.fullmatch(code)), None)
    lowered = message.lower()
    too_long = status in _OVERFLOW_STATUS and _OVERFLOW.search(lowered) and not _OTHER_LIMITS.search(lowered)
    if too_long or named & _OVERFLOW_CODES:
        return "overflow"
    if should_retry in ("true", "false"):
        return "transient" if should_retry == "true" else "fatal"
    if status is None and named & _TRANSIENT_CODES:
        return "transient"
    return "fatal" if named & _FATAL_CODES or status in _FATAL_STATUS else "transient"
