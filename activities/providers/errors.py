"""The SDKs' exceptions as ``ProviderFailure``: the one module that knows the error formats of the providers."""

import json
import logging
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import TYPE_CHECKING, cast

import httpx2

from longrun.activities.failures import MOST_CHARS, ProviderFailure, classify
from longrun.workflows.contract.characters import clean

if TYPE_CHECKING:  # the SDKs take a second or more to load, and few processes need both
    from openai import APIError, APIStatusError

logger = logging.getLogger(__name__)

_SDKS = ("openai", "anthropic")
# The SDKs build events without validating them: a field that the provider omitted is a missing attribute.
_GARBLED = (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError)
_STREAMING = 200
_MESSAGES = ("error", "message", "detail", "msg", "error_message")


def of_sdks(*names: str) -> tuple[type[Exception], ...]:
    """The exceptions of these names of the SDKs that are loaded; another one raises none."""
    # One that is being loaded has none yet.
    found = (getattr(sys.modules.get(sdk), name, None) for sdk in _SDKS for name in names)
    return tuple(each for each in found if each is not None)


@contextmanager
def provider_failures(provider: str) -> Generator[None, None, None]:
    """Raise a ``ProviderFailure`` for whatever a request or its stream raises.

    Raises:
        ProviderFailure: In place of the SDK's, the transport's and the parser's errors.
    """
    try:
        yield
    except (httpx2.RequestError, *of_sdks("APIConnectionError")) as error:
        cause = f" ({type(error.__cause__).__name__}: {error.__cause__})" if error.__cause__ else ""
        raise ProviderFailure("transient", f"{provider}: {type(error).__name__}: {error}{cause}") from error
    except of_sdks("APIError") as error:
        raise _refusal(provider, cast("APIError", error)) from error
    except _GARBLED as error:
        raise ProviderFailure("invalid", f"{provider}: the stream is garbled: {error}") from error


def ended_early(provider: str) -> ProviderFailure:
    """The failure of a stream that closed before its terminal event."""
    return ProviderFailure("invalid", f"{provider}: the stream ended without its terminal event")


def invalid(provider: str, reason: str) -> ProviderFailure:
    """The failure of an answer that cannot be read."""
    return ProviderFailure("invalid", f"{provider}: {reason}")


def reported(provider: str, body: object) -> ProviderFailure:
    """The failure of an error that came inside an answer."""
    codes = list(_codes(body))
    message = _message(body) or next(iter(codes), "the model failed")
    return ProviderFailure(classify(None, codes, message), f"{provider}: {message}", retry_after=_retry_delay(body))


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds to wait: from ``retry-after-ms``, else from ``retry-after``, which is seconds or a date."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    given = headers.get("retry-after", "")
    if (seconds := _number(given)) is not None:
        return seconds
    try:
        until = parsedate_to_datetime(given)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return max(0.0, number) if isfinite(number) else None


def _refusal(provider: str, error: "APIError") -> ProviderFailure:
    codes, message = list(_codes(error.body)), _message(error.body) or error.message[:MOST_CHARS]
    if not isinstance(error, of_sdks("APIStatusError")):
        return ProviderFailure(classify(None, codes, message), f"{provider}: {message}")
    error = cast("APIStatusError", error)
    headers = error.response.headers
    # An error inside an Anthropic stream has the status of the response, which was 200.
    status = None if error.status_code == _STREAMING else error.status_code
    kind = classify(status, codes, message, headers.get("x-should-retry"))
    logger.info("%s refused: status=%s codes=%s request=%s", provider, status, codes, error.request_id)
    shown = f"{provider}: {message}" if status is None else f"{provider}: {message} (HTTP {status})"
    wait = retry_after(headers, datetime.now(UTC))
    return ProviderFailure(kind, shown, retry_after=_retry_delay(error.body) if wait is None else wait)


def _objects(body: object) -> Iterator[dict[str, object]]:
    """An error's body and the objects in it, the outermost first."""
    if isinstance(body, dict):
        fields = cast("dict[str, object]", body)
        yield fields
        for key in ("error", "detail", "details"):
            yield from _objects(fields.get(key))
    elif isinstance(body, list):
        for each in cast("list[object]", body):
            yield from _objects(each)


def _codes(body: object) -> Iterator[str]:
    """Every ``code``, ``type`` and ``status`` of an error's body, unwrapped or not."""
    for fields in _objects(body):
        given = (fields.get(key) for key in ("code", "type", "status"))
        yield from (str(code)[:MOST_CHARS] for code in given if isinstance(code, str | int))


def _message(body: object) -> str | None:
    """The host's message, the innermost one if there are several, cut to what a log and a failure can hold."""
    if isinstance(body, str):
        return clean(body.strip()[:MOST_CHARS]) or None
    if isinstance(body, list):
        found = (_message(each) for each in cast("list[object]", body))
        return next((message for message in found if message), None)
    if not isinstance(body, dict):
        return None
    fields = cast("dict[str, object]", body)
    return next((found for key in _MESSAGES if (found := _message(fields.get(key)))), None)


def _retry_delay(body: object) -> float | None:
    """The seconds of Google's ``retryDelay``, as in ``4s``."""
    delays = (fields.get("retryDelay") for fields in _objects(body))
    return next((_number(delay.removesuffix("s")) for delay in delays if isinstance(delay, str)), None)
