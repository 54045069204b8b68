"""Ids of calls and names of tools as a wire takes them; ours may be any text that a model or a host has made up."""

import re
from collections.abc import Iterable
from hashlib import sha256

from longrun.workflows.contract.messages import Message

LONGEST_NAME = 64
_NOT_SAFE = re.compile(r"[^A-Za-z0-9_-]")
_DIGITS = 16


def tool_name(name: str) -> str:
    """A tool's name in the letters and the length that every host takes; two names are never made one."""
    return _fitting(name, LONGEST_NAME) or "unnamed"


class CallIds:
    """The ids of calls in a request.

    A call of the model that is asked has the id that its host gave it, all others one that any host takes: the same one
    in every request, and no two the same.

    Args:
        messages: The request's messages.
        provider_model: The model that is asked, with its provider.
        longest: Characters that an id may have.
        safe: Whether the wire takes ``A-Z a-z 0-9 _ -`` alone, also in its own ids.
    """

    def __init__(self, messages: Iterable[Message], provider_model: str, *, longest: int, safe: bool = False) -> None:
        self._longest = longest
        own = (message for message in messages if message.provider == provider_model and not safe)
        self._own = frozenset(call.call_id for message in own for call in message.calls)

    def __getitem__(self, call_id: str) -> str:
        return call_id if call_id in self._own else _fitting(call_id, self._longest)


def _fitting(text: str, longest: int) -> str:
    """The text itself if it fits, else its beginning and a digest of all of it."""
    if len(text) <= longest and not _NOT_SAFE.search(text):
        return text
    return f"{_NOT_SAFE.sub('_', text)[: longest - _DIGITS - 1]}_{sha256(text.encode()).hexdigest()[:_DIGITS]}"
