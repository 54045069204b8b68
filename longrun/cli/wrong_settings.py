"""Wrong settings, in one line."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from longrun.runtime.settings import Settings

_PROVIDERS = "ProviderSettings"
_SECRET = ("key", "url")
"""In the names of settings that are secret, or that may have a password in them."""


def described(error: ValueError) -> str | None:
    """Each wrong variable and what is wrong with it; ``None`` for an error of anything but settings."""
    if not isinstance(error, ValidationError) or error.title not in (Settings.__name__, _PROVIDERS):
        return None
    prefix = "LONGRUN_" if error.title == Settings.__name__ else ""
    return "; ".join(f"{prefix}{found['loc'][0]}".upper() + f": {_plain(found)}" for found in error.errors())


def _plain(found: ErrorDetails) -> str:
    """What is wrong with a setting; its value only where nobody keeps a secret in it."""
    message = found["msg"].removeprefix("Value error, ")
    hides = any(hint in str(found["loc"][0]).lower() for hint in _SECRET)
    return message if hides else f"{message}, not {found['input']!r}"
