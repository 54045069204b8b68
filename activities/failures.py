"""Why a model call failed, and whether asking again can help: one table for every provider."""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

from temporalio.exceptions import ApplicationError

from workflows.contract.errors import ErrorType

FailureKind = Literal["transient", "fatal", "overflow", "invalid"]
"""``transient``: ask again; ``fatal``: asking again gives the same answer; ``overflow``: the conversation is too long;
``invalid``: the stream broke its own rules or ended without its end, so ask again."""

MAX_RETRY_AFTER = 300.0
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
_OVERFLOW_WORDS = (
    "prompt is too long",
    "maximum context length",
    "context window",
    "exceed context limit",
    "available context size",
)
_OVERFLOW_STATUS = (400, 413, None)


class ProviderFailure(Exception):  # noqa: N818 - a failure is what the design calls it
    """A model call that gave no answer.

    Args:
        kind: Whether asking again can help.
        message: What the provider said, for people.
        retry_after: Seconds that the provider asked us to wait.
    """

    def __init__(self, kind: FailureKind, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind: FailureKind = kind
        self.retry_after = retry_after

    def to_application_error(self) -> ApplicationError:
        """The error as Temporal's retry policy understands it."""
        delay = None if self.retry_after is None else timedelta(seconds=min(self.retry_after, MAX_RETRY_AFTER))
        return ApplicationError(
            str(self),
            type=_TYPES[self.kind],
            non_retryable=self.kind in ("fatal", "overflow"),
            next_retry_delay=delay,
        )


def classify(status: int | None, codes: Iterable[str], message: str, should_retry: str | None = None) -> FailureKind:
    """The kind of a failure that a provider reported.

    Args:
        status: The HTTP status, ``None`` where the error came inside a stream.
        codes: The provider's own ``code`` and ``type``; one that is an HTTP status stands in for a missing ``status``.
        message: The provider's text.
        should_retry: The value of an ``x-should-retry`` header, which overrides the table.
    """
    named = frozenset(codes)
    if status is None:
        status = next((int(code) for code in sorted(named) if _HTTP_ERROR.fullmatch(code)), None)
    lowered = message.lower()
    too_long = status in _OVERFLOW_STATUS and any(words in lowered for words in _OVERFLOW_WORDS)
    if too_long or named & _OVERFLOW_CODES:
        return "overflow"
    if should_retry in ("true", "false"):
        return "transient" if should_retry == "true" else "fatal"
    if status is None and named & _TRANSIENT_CODES:
        return "transient"
    return "fatal" if named & _FATAL_CODES or status in _FATAL_STATUS else "transient"
