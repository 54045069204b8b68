"""The keys of the HTTP API: one that anybody may hold, or several that each name their holder."""

import re
from dataclasses import dataclass, field

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}")
_SECRET = re.compile(r"[\x21-\x2b\x2d-\x39\x3b-\x7e]+")
"""Printable ASCII without a comma or a colon, which separate keys and names."""


@dataclass(frozen=True)
class Key:
    """A key; ``holder`` is the name of who has it, if it is theirs alone."""

    secret: str = field(repr=False)
    holder: str | None = None


def parse_keys(text: str) -> tuple[Key, ...]:
    """The keys of a setting: ``KEY``, or ``ann:KEY1,bob:KEY2``.

    Raises:
        ValueError: It is neither; the message does not show a key.
    """
    keys = tuple(_key(each.strip()) for each in text.split(",") if each.strip())
    if len({key.secret for key in keys}) < len(keys):
        raise ValueError("has the same key twice")
    return keys


def _key(text: str) -> Key:
    name, colon, secret = text.rpartition(":")
    if not _SECRET.fullmatch(secret):
        raise ValueError("has a key that is empty or has other than visible ASCII characters, or a comma or a colon")
    if colon and not _NAME.fullmatch(name):
        raise ValueError("has a key with a bad name: NAME:KEY, where NAME is letters, digits and any of _.@-")
    return Key(secret, name or None)


def first_key(text: str) -> str | None:
    """The key that a client sends which has this setting; ``None`` without any.

    Raises:
        ValueError: It is no such setting.
    """
    keys = parse_keys(text)
    return keys[0].secret if keys else None
