"""What a client raises, and the interruptions that it bridges."""

from collections.abc import Mapping
from typing import Any

from longrun.runtime.plain import PlainError


class ClientError(PlainError):
    """A request that failed; the message is for a person."""


class UnreachableError(ClientError):
    """No server answers, or it did not answer within the attempts that the retry policy allows."""


class ApiError(ClientError):
    """A request that the server refused.

    Args:
        status: The HTTP status.
        detail: The reason, in the server's terms.
        problem: The whole problem document; ``errors`` in it names the wrong fields.
    """

    def __init__(self, status: int, detail: str, problem: Mapping[str, Any]) -> None:
        super().__init__(detail)
        self.status = status
        self.problem = problem


class InterruptionError(Exception):
    """An answer that did not come, broke off, or asks to come back later. A retry may help.

    Args:
        reason: For the notice and the last message.
        retry_after: Seconds that the server asks to wait.
        refused: Whether there was no connection at all.
    """

    def __init__(self, reason: str, retry_after: float = 0.0, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.refused = refused
