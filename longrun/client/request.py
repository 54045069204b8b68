"""A request as a value, and how its answer is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import httpx2
from pydantic import ValidationError

from longrun.client.errors import ApiError, ClientError, InterruptionError

T = TypeVar("T")

JSON, TEXT, EVENTS = "application/json", "text/plain", "text/event-stream"
_PROBLEM = "application/problem+json"
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
NO_CONTENT = 204


@dataclass(frozen=True)
class Request(Generic[T]):
    """An operation of the API with its arguments: can be sent any number of times, by a client of either kind.

    Args:
        method: The HTTP method.
        path: Under the server's address.
        parse: Makes the result out of a good answer.
        params: The query; ``None`` omits a parameter.
        body: The JSON body.
        headers: More headers.
        media_type: Of a good answer.
        statuses: Statuses beside 2xx that are good answers.
        repeatable: Whether a request that reaches the server twice does what it does once.
    """

    method: str
    path: str
    parse: Callable[[httpx2.Response], T]
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    media_type: str = JSON
    statuses: frozenset[int] = frozenset()
    repeatable: bool = True

    @property
    def options(self) -> dict[str, Any]:
        """What an HTTP client sends."""
        given = {name: value for name, value in self.params.items() if value is not None}
        return {"url": self.path, "params": given, "json": self.body, "headers": self.headers}

    def read(self, response: httpx2.Response) -> T:
        """The result of an answer whose body has been received.

        Raises:
            ApiError: The server refused.
            ClientError: It is no answer of longrun.
            InterruptionError: The server asks to come back later.
        """
        self.check(response)
        try:
            return self.parse(response)
        except ValidationError as error:
            raise ClientError(
                f"the answer of {response.request.url} has another shape than expected: {error}"
            ) from error

    def check(self, response: httpx2.Response) -> None:
        """Let only a good answer pass; of another one, the body must have been received.

        Raises:
            ApiError: The server refused.
            ClientError: It is no answer of longrun.
            InterruptionError: The server asks to come back later.
        """
        status = response.status_code
        good = response.is_success or status in self.statuses
        media_type = response.headers.get("content-type", "").partition(";")[0]
        if good and (status == NO_CONTENT or media_type == self.media_type):
            return
        problem: dict[str, Any] = response.json() if media_type == _PROBLEM else {}
        detail = problem.get("detail", f"the server answers {status}")
        if status in _TRANSIENT:
            raise InterruptionError(detail, _retry_after(response))
        if problem:
            raise ApiError(status, detail, problem)
        raise ClientError(f"what answers at {response.request.url} is not longrun: {status} {media_type}")


def _retry_after(response: httpx2.Response) -> float:
    seconds = response.headers.get("retry-after", "")
    return float(seconds) if seconds.isdecimal() else 0.0
